/**
 * What the barrier asks of Redis. One script reads; the other applies what was decided from what was read, if nothing of
 * that has changed since: a transaction by comparison, as WATCH and MULTI make one, without a connection of its own.
 */

/** Runs a command that reads; its reply, and the digest of it. */
export const readScript = `
local reply = redis.call(unpack(ARGV))
return { reply, redis.sha1hex(cjson.encode(reply)) }`;

/**
 * KEYS: where the step's marks are. ARGV: the marks that were found (empty for none), the marks to set, the age at which
 * they end in milliseconds, the reads as JSON \`[[digest, command…]…]\`, the commands as JSON \`[[command…]…]\`.
 *
 * The marks are set before the commands: what follows in a script cannot be lost alone, but a command may fail, and Redis
 * takes back nothing. Of a first command that fails nothing has happened; of a later one the marks say so for good.
 */
export const applyScript = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return { 'changed' } end
for _, read in ipairs(cjson.decode(ARGV[4])) do
  local digest = table.remove(read, 1)
  if redis.sha1hex(cjson.encode(redis.call(unpack(read)))) ~= digest then return { 'changed' } end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
for index, command in ipairs(cjson.decode(ARGV[5])) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err then
    if index == 1 then
      if ARGV[1] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end
      return { 'failed', reply.err }
    end
    local broken = cjson.encode({ broken = 'command ' .. index .. ' (' .. command[1] .. ') failed: ' .. reply.err })
    redis.call('SET', KEYS[1], broken, 'PX', ARGV[3])
    return { 'broken', broken }
  end
end
return { 'applied' }`;
