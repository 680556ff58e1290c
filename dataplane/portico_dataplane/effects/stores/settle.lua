-- One exchange of a pod, settled atomically: portico_ir.ledger and portico_ir.stock in Lua.
-- Run by redis.py; tests/integration/test_redis_store.py holds the two together.
--
-- KEYS: the holders, then one record for each counter, then one hash of usage for each plan and day.
-- ARGV: the exchange, packed. Reply: the settlement, packed. Time is this server's.
local x = cmsgpack.unpack(ARGV[1])
local c = x.constants
local holder, leaves_here = x.holder, x.leaves
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local today = math.floor(now / 86400000)

local stored = redis.call('MGET', unpack(KEYS, 1, x.records))
local function record(k)
  return stored[k] and cmsgpack.unpack(stored[k]) or nil
end

-- holders: { name -> {leaves, seen, serial} }
local holders = record(1) or {}
local mine = holders[holder]
local known = mine and mine[3] or 0
local counts = x.serial > known
holders[holder] = { leaves_here, now, math.max(known, x.serial) }
local leaves = 0
for name, each in pairs(holders) do
  if now - each[2] <= c.term then
    leaves = leaves + each[1]
  elseif now - each[2] > c.forget then
    holders[name] = nil
  end
end

-- usage: one hash for each plan and day, key id to requests
local used_now = {}
if counts then
  for _, group in ipairs(x.usage) do
    local key, day, fields, numbers = KEYS[group[1]], group[2], group[3], group[4]
    local before = redis.call('HMGET', key, unpack(fields))
    local pairs_of = {}
    for i, field in ipairs(fields) do
      pairs_of[#pairs_of + 1] = field
      pairs_of[#pairs_of + 1] = string.format('%.0f', (tonumber(before[i] or 0) or 0) + numbers[i])
      local quota = group[5][i]
      if quota > 0 then
        used_now[quota] = used_now[quota] or {}
        used_now[quota][#used_now[quota] + 1] = { day, numbers[i] }
      end
    end
    if redis.call('HSET', key, unpack(pairs_of)) > 0 then
      redis.call('EXPIRE', key, c.usage_seconds)
    end
  end
end

-- stock: {at, free, shares}; share: {at, held, spoken, rate, cap, demand, leaves, until, back_until}
local AT, HELD, SPOKEN, RATE, CAP, DEMAND, LEAVES, UNTIL, BACK = 1, 2, 3, 4, 5, 6, 7, 8, 9

local function sum(shares, field)
  local total = 0
  for _, share in pairs(shares) do total = total + share[field] end
  return total
end

local function add(stock, tokens)
  if tokens > 0 and stock.cap then
    local out = sum(stock.shares, HELD) - sum(stock.shares, SPOKEN)
    tokens = math.max(0, math.min(tokens, stock.cap - out - stock.free))
  end
  stock.free = stock.free + tokens
end

local function forget(stock, name)
  local share = stock.shares[name]
  if share then
    stock.shares[name] = nil
    add(stock, share[HELD] - share[SPOKEN])
  end
end

local function expire(stock)
  for name, share in pairs(stock.shares) do
    if share[UNTIL] < now then stock.late = stock.late or {}; stock.late[#stock.late + 1] = name end
  end
  for _, name in ipairs(stock.late or {}) do forget(stock, name) end
end

local function accrue(stock)
  local elapsed = now - stock.at
  stock.at = now
  if elapsed > 0 and stock.rate > 0 then
    add(stock, (stock.rate - sum(stock.shares, RATE)) * elapsed / 1000)
  end
end

local function settle(stock, ask)
  local share = stock.shares[holder]
  local back, returned
  if share then
    local elapsed = math.max(0, now - share[AT])
    back = share[HELD] + share[RATE] * elapsed / 1000 - ask.spent - ask.held
    returned = not counts or elapsed > c.late_ms
  else
    share = { now, 0, 0, 0, 0, 0, 1, 0, 0 }
    stock.shares[holder] = share
    back = -ask.held
    returned = ask.going > 0
  end
  share[BACK] = share[BACK] or 0
  local floor = now < share[BACK] and stock.rate > 0 and math.min(stock.free, 0) or -math.huge
  if returned then share[BACK] = now + c.back_ms end
  share[AT], share[HELD], share[SPOKEN] = now, ask.held, 0
  share[DEMAND], share[LEAVES] = ask.demand, leaves_here
  add(stock, back)
  stock.free = math.max(stock.free, floor)
  return share
end

local function share_of_rate(stock, share)
  if stock.rate <= 0 or share[DEMAND] <= 0 then return 0, 0 end
  local demand = sum(stock.shares, DEMAND)
  local ratio = stock.rate / demand
  local least = ratio < c.scarce and c.min_share or c.min_share_of_plenty
  if ratio > 1 then ratio = math.min(2, (1 + ratio) / 2) end
  local fair = share[DEMAND] * ratio
  local rate = math.min(fair, stock.rate - (sum(stock.shares, RATE) - share[RATE]))
  if rate <= 0 or fair < least then return 0, 0 end
  local reach = math.min(stock.cap * c.spread * share[DEMAND] / demand, share[DEMAND] * c.reach_s)
  return rate, math.max(1, reach)
end

local function same_share_of_rate(stock, share, had)
  local rate = math.min(had, stock.rate - (sum(stock.shares, RATE) - share[RATE]))
  if rate <= 0 then return 0, 0 end
  return rate, math.max(1, math.min(stock.cap * c.spread * rate / stock.rate, rate * c.reach_s))
end

local function recheck(stock, share)
  if share[RATE] > 0 then
    return stock.rate < sum(stock.shares, DEMAND) * c.scarce and c.renew_ms or c.least_ms
  end
  local own = stock.rate - sum(stock.shares, RATE)
  if own > 0 then
    return math.min(1000, math.max(c.least_ms, (1 - stock.free) / own * 1000))
  end
  if stock.rate > 0 then return c.return_ms end
  for _, other in pairs(stock.shares) do
    if other ~= share and other[HELD] >= 1 then return c.return_ms end
  end
  return c.never_ms
end

local function offer(stock, share, ask)
  local all = math.max(leaves, share[LEAVES])
  local free = math.max(0, math.floor(stock.free + c.nearly))
  local portion = ask.waiting
  if free >= 2 * all then
    portion = math.max(portion, math.floor(free * share[LEAVES] / (2 * all) + c.nearly))
  end
  local tokens = math.min(math.max(0, math.ceil(ask.want)), portion, free)
  local rate, cap = 0, 0
  if now < share[BACK] and ask.going > 0 then
    rate, cap = same_share_of_rate(stock, share, ask.going)
  elseif ask.want > portion then
    rate, cap = share_of_rate(stock, share)
  end
  stock.free = stock.free - tokens
  share[RATE], share[CAP] = rate, cap
  share[HELD] = share[HELD] + tokens
  share[SPOKEN] = math.min(tokens, ask.waiting)
  share[UNTIL] = now + c.term
  local more = stock.free + c.nearly >= 1
  local left = math.max(0, stock.free)
  local demand = sum(stock.shares, DEMAND)
  local part = demand > 0 and share[DEMAND] / demand or share[LEAVES] / all
  local credit = math.floor(math.max(0, left - demand * c.reserve_s) * part + c.nearly)
  return { tokens, rate, cap, credit, more, more and 0 or recheck(stock, share), 0, 0, left }
end

-- Usage of a key in a period, from the hashes of its days.
local function used_in(ask, first, last)
  local total = 0
  for day = first, math.min(last - 1, today + 1) do
    total = total + (tonumber(redis.call('HGET', ask.usage .. day, ask.key) or 0) or 0)
  end
  return total
end

local function period_of(bounds)
  for i = 1, #bounds - 1 do
    if today < bounds[i + 1] then return bounds[i], bounds[i + 1] end
  end
  return bounds[#bounds - 1], bounds[#bounds]
end

local grants, writes = {}, {}

for position, ask in ipairs(x.asks) do
  if not counts then ask.spent = 0 end
  local found = record(ask.record)
  local stock, grant, ttl
  if ask.rate then
    stock = found and { at = found[1], free = math.min(found[2], ask.burst), shares = found[3] }
      or { at = now, free = ask.burst, shares = {} }
    stock.rate, stock.cap = ask.rate, ask.burst
    expire(stock)
    accrue(stock)
    local share = settle(stock, ask)
    stock.free = math.max(stock.free, -stock.cap)
    grant = offer(stock, share, ask)
    -- A bucket that is full is like a new one.
    local filling = stock.rate > 0 and (stock.cap - stock.free) / stock.rate * 1000 or 86400000
    ttl = math.min(math.max(filling, c.term) + c.term, c.longest_ms)
    found = { stock.at, stock.free, stock.shares }
  else
    local first, last = period_of(ask.bounds)
    if found and found[4] ~= first then found = nil end
    stock = found and { at = found[1], free = 0, shares = found[3] }
      or { at = now, free = 0, shares = {} }
    stock.rate = 0
    local used
    if found then
      used = found[5]
      for _, use in ipairs(used_now[ask.record] or {}) do
        if use[1] >= first and use[1] < last then used = used + use[2] end
      end
    else
      used = used_in(ask, first, last)
    end
    used_now[ask.record] = nil
    if ask.period ~= first then ask.spent, ask.held = 0, 0 end
    expire(stock)
    local share = settle(stock, ask)
    local extra = record(ask.extension)
    local limit = ask.limit + (extra and extra[1] == first and extra[2] or 0)
    stock.free = limit - used - sum(stock.shares, HELD)
    grant = offer(stock, share, ask)
    grant[7], grant[8] = first, last * 86400000 - now
    ttl = last * 86400000 - now + 86400000
    found = { now, 0, stock.shares, first, used }
  end
  if ask.want == 0 and ask.held == 0 and grant[1] == 0 and grant[2] == 0 then
    forget(stock, holder)
    found[2] = ask.rate and stock.free or 0
  end
  grants[position] = grant
  writes[#writes + 1] = { KEYS[ask.record], cmsgpack.pack(found), ttl }
end

-- Usage of quotas that nobody asks for in this exchange.
for k, uses in pairs(used_now) do
  local found = record(k)
  if found and found[4] then
    for _, use in ipairs(uses) do
      if use[1] >= found[4] then found[5] = found[5] + use[2] end
    end
    writes[#writes + 1] = { KEYS[k], cmsgpack.pack(found), nil }
  end
end

for _, write in ipairs(writes) do
  if write[3] then
    redis.call('SET', write[1], write[2], 'PX', string.format('%.0f', math.ceil(write[3])))
  else
    redis.call('SET', write[1], write[2], 'KEEPTTL')
  end
end
redis.call('SET', KEYS[1], cmsgpack.pack(holders), 'PX', c.forget)
return cmsgpack.pack({ known, now, leaves, grants })
