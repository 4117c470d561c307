-- A record is a layout (1 byte), a public key (32), a sequence (8, big-endian), a signature (64)
-- and a value. What these scripts call is in the documentation of the engine, with a user that
-- is allowed no more.
local MIN_RECORD = 105
local MAX_RECORD = 900
-- What a record can be valid for at most: a day, and 5 minutes for the signer's clock.
local MAX_LEFT = 86700000

-- Sequences of 8 bytes: positive if the first is higher. As numbers they would lose their last
-- digits, and `<` compares strings by the server's locale.
local function compare(one, other)
    for at = 1, 8 do
        local difference = string.byte(one, at) - string.byte(other, at)
        if difference ~= 0 then
            return difference
        end
    end
    return 0
end

-- The time in milliseconds, and how long it is until then.
local function until_time(ends_at)
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    return now, math.min(tonumber(ends_at) - now, MAX_LEFT)
end

-- Whether this is the error that a key holds another type.
local function is_wrong_type(reply)
    return type(reply) == 'table' and reply.err and string.find(reply.err, 'WRONGTYPE', 1, true)
end

-- Whether a record with a higher sequence is stored.
local function is_superseded(key, sequence)
    local stored = redis.pcall('GETRANGE', key, 33, 40)
    return type(stored) == 'string' and #stored == 8 and compare(stored, sequence) > 0
end
