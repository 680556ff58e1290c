"""What routes and APIs can do, one module each: from manifest structs to the contract."""
