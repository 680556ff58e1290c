"""Pets as JSON, kept in memory: list, create, read, replace, delete under /v1/pets."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from services.serving import serve

Pet = dict[str, Any]
PETS = web.AppKey("pets", dict[int, Pet])

routes = web.RouteTableDef()


@routes.get("/v1/pets")
async def list_pets(request: web.Request) -> web.Response:
    """All pets, or those of one type (`?type=cat`)."""
    wanted = request.query.get("type")
    pets = request.app[PETS].values()
    return web.json_response([pet for pet in pets if wanted in (None, pet["type"])])


@routes.post("/v1/pets")
async def create_pet(request: web.Request) -> web.Response:
    """A new pet under the next number."""
    pets = request.app[PETS]
    number = max(pets, default=0) + 1
    pets[number] = {"id": number, **await _pet_in(request)}
    return web.json_response(pets[number], status=201, headers={"Location": f"/pets/{number}"})


@routes.get(r"/v1/pets/{id:\d+}")
async def read_pet(request: web.Request) -> web.Response:
    """One pet."""
    return web.json_response(request.app[PETS][_known(request)])


@routes.put(r"/v1/pets/{id:\d+}")
async def replace_pet(request: web.Request) -> web.Response:
    """The pet as sent."""
    number = _known(request)
    request.app[PETS][number] = {"id": number, **await _pet_in(request)}
    return web.json_response(request.app[PETS][number])


@routes.delete(r"/v1/pets/{id:\d+}")
async def delete_pet(request: web.Request) -> web.Response:
    """Nothing, and the pet is gone."""
    del request.app[PETS][_known(request)]
    return web.Response(status=204)


def _known(request: web.Request) -> int:
    number = int(request.match_info["id"])
    if number not in request.app[PETS]:
        raise _refusal(web.HTTPNotFound, f"there is no pet {number}")
    return number


async def _pet_in(request: web.Request) -> Pet:
    try:
        pet = json.loads(await request.text())
    except ValueError:
        pet = None
    if not isinstance(pet, dict) or not isinstance(pet.get("name"), str):
        raise _refusal(web.HTTPBadRequest, "a pet is a JSON object with a name")
    return {"name": pet["name"], "type": str(pet.get("type", "cat"))}


def _refusal(kind: type[web.HTTPError], message: str) -> web.HTTPError:
    return kind(text=json.dumps({"message": message}), content_type="application/json")


def make_app() -> web.Application:
    """The service with its three first pets."""
    app = web.Application()
    app[PETS] = {
        1: {"id": 1, "name": "Tiger", "type": "cat"},
        2: {"id": 2, "name": "Bello", "type": "dog"},
        3: {"id": 3, "name": "Nemo", "type": "fish"},
    }
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    serve(make_app(), __doc__)
