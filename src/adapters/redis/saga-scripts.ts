/**
 * The scripts of the store: Redis runs one script at a time and wholly, so each operation is atomic. KEYS[1] is what
 * every key begins with; it carries the hash tag, so that all keys are in one slot of a cluster.
 *
 * Under it are `saga:<id>`, a hash with the columns of a row; `requests:<id>`, a hash of requests by their id, each
 * `<place> <JSON>`; `due:<shape>`, ids by the time since which they may be claimed; `status:<status>`, ids by the time of
 * their creation; `ended`, ids by the time of their last write; `census`, how many there are of each kind; and
 * `lease:<owner>`, which expires with the lease. Times go through as the texts that they came as, since a number of Lua
 * that becomes text keeps 14 digits only.
 */

const common = `
local P = KEYS[1]
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + t[2] / 1000
end
local function unfinished(status) return status == 'running' or status == 'waiting' or status == 'compensating' end
local function ended(status) return status == 'completed' or status == 'compensated' or status == 'resolved' end
local function extend(owner, ttl) redis.call('SET', P .. 'lease:' .. owner, '1', 'PX', ttl) end
local function held(owner) return owner and redis.call('EXISTS', P .. 'lease:' .. owner) == 1 end
-- A row with its requests, as one flat list of names and values.
local function read(id)
  local row = redis.call('HGETALL', P .. 'saga:' .. id)
  if #row == 0 then return false end
  return { id, row, redis.call('HVALS', P .. 'requests:' .. id) }
end
-- Puts a saga where a status is looked for, and where what is due is.
local function file(id, before, status, kind, created)
  if before == status then return end
  if before then
    redis.call('ZREM', P .. 'status:' .. before, id)
    if redis.call('HINCRBY', P .. 'census', before .. ' ' .. kind, -1) == 0 then
      redis.call('HDEL', P .. 'census', before .. ' ' .. kind)
    end
  end
  redis.call('ZADD', P .. 'status:' .. status, created, id)
  redis.call('HINCRBY', P .. 'census', status .. ' ' .. kind, 1)
end
local function await(id, shape, status, woken, wake, ready)
  local due = ready
  if status == 'waiting' and not woken then due = wake end
  if due and unfinished(status) then redis.call('ZADD', P .. 'due:' .. shape, due, id)
  else redis.call('ZREM', P .. 'due:' .. shape, id) end
end
`;

/**
 * ARGV: id, owner, ttl, shape, kind, status, createdAt, wakeAt (or empty), then names and values of the columns.
 * Answers false, or the row that is there.
 */
const create = `
local id, owner, ttl, shape, kind, status, created, wake = unpack(ARGV, 1, 8)
local key = P .. 'saga:' .. id
local found = read(id)
if found then return found end
local ready = created
local t = now()
if tonumber(created) > t then ready = string.format('%.3f', t) end
redis.call('HSET', key, 'shape', shape, 'kind', kind, 'ready', ready, 'count', '0', unpack(ARGV, 9))
if status ~= 'waiting' then redis.call('HSET', key, 'owner', owner) end
file(id, false, status, kind, created)
await(id, shape, status, false, wake ~= '' and wake, ready)
extend(owner, ttl)
return false`;

/**
 * ARGV: id, epoch, version, seen, status, updatedAt, wakeAt (or empty), how many names and values follow, these, and
 * names of columns that become empty. Answers how many requests there are, or -1 when the caller has lost the saga.
 */
const update = `
local id, epoch, version, seen, status, updated, wake, size = unpack(ARGV, 1, 8)
local key = P .. 'saga:' .. id
local row = redis.call('HMGET', key, 'epoch', 'version', 'status', 'count', 'shape', 'kind', 'created_at', 'ready')
if row[1] ~= epoch or row[2] ~= version then return -1 end
local before, count, shape, kind, created, ready = unpack(row, 3)
local last = 8 + size
redis.call('HSET', key, 'version', version + 1, 'claims', '0', unpack(ARGV, 9, last))
if #ARGV > last then redis.call('HDEL', key, unpack(ARGV, last + 1)) end
file(id, before, status, kind, created)
if status == 'waiting' or before ~= status then
  local woken = status == 'waiting' and tonumber(count) > tonumber(seen)
  if status == 'waiting' then redis.call('HDEL', key, 'owner') end
  if woken then redis.call('HSET', key, 'woken', '1') else redis.call('HDEL', key, 'woken') end
  await(id, shape, status, woken, wake ~= '' and wake, ready)
end
if ended(status) then redis.call('ZADD', P .. 'ended', updated, id)
elseif ended(before) then redis.call('ZREM', P .. 'ended', id) end
return tonumber(count)`;

/** ARGV: id, id of the request, the request, how many requests there may be before it. Answers the outcome. */
const request = `
local id, name, body, most = unpack(ARGV)
local key = P .. 'saga:' .. id
local row = redis.call('HMGET', key, 'status', 'count', 'shape', 'ready')
local status, count, shape, ready = unpack(row)
if not status then return 'unknown' end
if redis.call('HEXISTS', P .. 'requests:' .. id, name) == 1 then return 'known' end
if ended(status) then return 'ended' end
if tonumber(count) >= tonumber(most) then return 'full' end
redis.call('HSET', P .. 'requests:' .. id, name, count .. ' ' .. body)
redis.call('HINCRBY', key, 'count', 1)
if status == 'waiting' then
  redis.call('HSET', key, 'woken', '1')
  await(id, shape, status, true, false, ready)
end
return 'added'`;

/** ARGV: owner, ttl, limit of each shape, how many shapes, these, and the ids that are held. Answers rows. */
const claim = `
local owner, ttl, limit, shapes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local holding = {}
for index = 5 + shapes, #ARGV do holding[ARGV[index]] = true end
local alive = {}
local function free(id)
  local other = redis.call('HGET', P .. 'saga:' .. id, 'owner')
  if not other then return true end
  if other == owner then return not holding[id] end
  if alive[other] == nil then alive[other] = held(other) end
  return not alive[other]
end
local t = string.format('%.3f', now())
local claimed = {}
for index = 5, 4 + shapes do
  local taken, offset = 0, 0
  repeat
    local page = redis.call('ZRANGEBYSCORE', P .. 'due:' .. ARGV[index], '-inf', t, 'LIMIT', offset, 200)
    for _, id in ipairs(page) do
      if taken < limit and free(id) then
        local key = P .. 'saga:' .. id
        redis.call('HINCRBY', key, 'epoch', 1)
        redis.call('HINCRBY', key, 'claims', 1)
        redis.call('HSET', key, 'owner', owner)
        claimed[#claimed + 1] = read(id)
        taken = taken + 1
      end
    end
    offset = offset + #page
  until taken >= limit or #page == 0
end
extend(owner, ttl)
return { t, claimed }`;

/** ARGV: id, epoch, reason, place, updatedAt. Parks for good what was claimed at this epoch; whether it was. */
const park = `
local id, epoch, reason, place, updated = unpack(ARGV)
local key = P .. 'saga:' .. id
local row = redis.call('HMGET', key, 'epoch', 'status', 'shape', 'kind', 'created_at')
if row[1] ~= epoch then return 0 end
redis.call('HSET', key, 'status', 'parked', 'reason', reason, 'parked_at', place, 'updated_at', updated)
file(id, row[2], 'parked', row[4], row[5])
redis.call('ZREM', P .. 'due:' .. row[3], id)
return 1`;

/** ARGV: id, owner, ttl, epoch, version. Takes the saga as it was read, unless it is held; whether it was. */
const take = `
local id, owner, ttl, epoch, version = unpack(ARGV)
local key = P .. 'saga:' .. id
local row = redis.call('HMGET', key, 'epoch', 'version', 'status', 'owner')
if row[1] ~= epoch or row[2] ~= version then return 0 end
if unfinished(row[3]) and held(row[4]) then return 0 end
redis.call('HINCRBY', key, 'epoch', 1)
redis.call('HSET', key, 'owner', owner)
extend(owner, ttl)
return 1`;

/** ARGV: ids. Answers their rows, false for what is not there. */
const readRows = `
local rows = {}
for index, id in ipairs(ARGV) do rows[index] = read(id) end
return rows`;

/** ARGV: the time before which they ended, the most of them. Answers how many were deleted. */
const purge = `
local ids = redis.call('ZRANGEBYSCORE', P .. 'ended', '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  local row = redis.call('HMGET', P .. 'saga:' .. id, 'status', 'kind')
  redis.call('DEL', P .. 'saga:' .. id, P .. 'requests:' .. id)
  redis.call('ZREM', P .. 'ended', id)
  redis.call('ZREM', P .. 'status:' .. row[1], id)
  if redis.call('HINCRBY', P .. 'census', row[1] .. ' ' .. row[2], -1) == 0 then
    redis.call('HDEL', P .. 'census', row[1] .. ' ' .. row[2])
  end
end
return #ids`;

/** What the store asks of Redis. */
export type SagaScript = 'create' | 'update' | 'request' | 'claim' | 'park' | 'take' | 'read' | 'purge';

/** The scripts by name. */
export const sagaScripts: Readonly<Record<SagaScript, string>> = {
  create: common + create,
  update: common + update,
  request: common + request,
  claim: common + claim,
  park: common + park,
  take: common + take,
  read: common + readRows,
  purge: common + purge,
};
