import { EPOCH_MEMORY_S } from './directory.ts';

/**
 * The atomic operations in Redis, as Lua. KEYS[1] is the prefix with a hash tag, so that a cluster keeps all of it in one slot.
 *   <p>stream:<name>   hash: node session user (JSON: a string, or null) epoch since body (JSON without user, epoch and since)
 *   <p>streams         sorted set of names, score 0, for lists by name
 *   <p>epoch:<name>    the highest epoch given so far; expires after a week, when wall time exceeds it anyway
 *   <p>node:<node>     hash: connectedAt presence
 *   <p>of:<node>       set: the streams of a node
 *   <p>leases          sorted set of nodes by the time their lease ends, in ms of Redis' own clock
 *   <p>changes         channel; each message is one JSON object: `DirectoryChange`
 *
 * What comes from outside is JSON already where it gets here, or goes through cjson.encode; nothing else is joined to a JSON text. (Bodies are
 * not decoded, because cjson turns [] into {}.)
 */
const PRELUDE = `
local p = KEYS[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function int(n) return string.format('%.0f', n) end
local function say(json) redis.call('PUBLISH', p .. 'changes', json) end
local function alive(node)
  local ends = redis.call('ZSCORE', p .. 'leases', node)
  return ends and tonumber(ends) > now
end
local function holder(stream)
  local h = redis.call('HMGET', p .. 'stream:' .. stream, 'node', 'session', 'user', 'epoch', 'since', 'body')
  if not h[1] or not alive(h[1]) then return nil end
  return h
end
local function remove(stream)
  local h = redis.call('HMGET', p .. 'stream:' .. stream, 'node', 'epoch')
  if not h[1] then return end
  redis.call('DEL', p .. 'stream:' .. stream)
  redis.call('ZREM', p .. 'streams', stream)
  redis.call('SREM', p .. 'of:' .. h[1], stream)
  say('{"type":"removed","stream":' .. cjson.encode(stream) .. ',"epoch":' .. int(h[2]) .. '}')
end
local function put(stream, node, session, user, epoch, since, body)
  local before = redis.call('HGET', p .. 'stream:' .. stream, 'node')
  if before and before ~= node then redis.call('SREM', p .. 'of:' .. before, stream) end
  redis.call('HSET', p .. 'stream:' .. stream, 'node', node, 'session', session, 'user', user, 'epoch', epoch, 'since', since, 'body', body)
  redis.call('ZADD', p .. 'streams', 0, stream)
  redis.call('SADD', p .. 'of:' .. node, stream)
  local highest = tonumber(redis.call('GET', p .. 'epoch:' .. stream) or '0')
  if tonumber(epoch) > highest then redis.call('SET', p .. 'epoch:' .. stream, int(epoch), 'EX', ${EPOCH_MEMORY_S}) end
  say('{"type":"published","epoch":' .. int(epoch) .. ',"since":' .. int(since) .. ',"user":' .. user .. ',"entry":' .. body .. '}')
end
local function lease(node, ms) redis.call('ZADD', p .. 'leases', 'NX', int(now + ms), node) end
local function drop(node)
  for _, stream in ipairs(redis.call('SMEMBERS', p .. 'of:' .. node)) do remove(stream) end
  redis.call('DEL', p .. 'of:' .. node, p .. 'node:' .. node)
  redis.call('ZREM', p .. 'leases', node)
  say('{"type":"node-gone","node":' .. cjson.encode(node) .. '}')
end
`;

function script(body: string): { numberOfKeys: number; lua: string } {
  return { numberOfKeys: 1, lua: PRELUDE + body };
}

export const SCRIPTS = {
  /** stream node session user (JSON) takeover leaseMs body → {won, node, session, user, epoch, since, body[, the replaced holder's six]} */
  millracePublish: script(`
local stream, node, session, user, takeover, leaseMs, body = unpack(ARGV)
local h = holder(stream)
local same = h and h[1] == node and h[2] == session
if h and not same and takeover ~= '1' then return {0, unpack(h)} end
lease(node, tonumber(leaseMs))
if same then
  put(stream, node, session, user, h[4], h[5], body)
  return {1, node, session, user, h[4], h[5], body}
end
local previous = tonumber(redis.call('GET', p .. 'epoch:' .. stream) or '0')
local epoch = int(math.max(now, previous + 1))
put(stream, node, session, user, epoch, int(now), body)
if h then return {1, node, session, user, epoch, int(now), body, unpack(h)} end
return {1, node, session, user, epoch, int(now), body}
`),
  /** node leaseMs then (stream epoch session body)* → flat list of seven for each that it may not have: stream, then its holder's six, or six empty ones */
  millraceAnnounce: script(`
local node, leaseMs = ARGV[1], tonumber(ARGV[2])
lease(node, leaseMs)
local named, held = {}, {}
for i = 3, #ARGV, 4 do named[ARGV[i]] = true end
for _, stream in ipairs(redis.call('SMEMBERS', p .. 'of:' .. node)) do
  if not named[stream] then remove(stream) end
end
for i = 3, #ARGV, 4 do
  local stream, epoch, session, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local h = holder(stream)
  local higher = h and tonumber(h[4]) - tonumber(epoch)
  if h and h[1] ~= node and higher >= 0 then
    held[#held + 1] = stream
    for j = 1, 6 do held[#held + 1] = h[j] end
  elseif not h and tonumber(epoch) < tonumber(redis.call('GET', p .. 'epoch:' .. stream) or '0') then
    held[#held + 1] = stream
    for j = 1, 6 do held[#held + 1] = '' end
  elseif not (h and h[1] == node and higher > 0) then
    local known = h and higher == 0
    put(stream, node, session, known and h[3] or 'null', epoch, known and h[5] or epoch, body)
  end
end
return held
`),
  /** stream epoch session → 1 when it was that one */
  millraceUnpublish: script(`
local h = redis.call('HMGET', p .. 'stream:' .. ARGV[1], 'epoch', 'session')
if h[1] ~= ARGV[2] or h[2] ~= ARGV[3] then return 0 end
remove(ARGV[1])
local highest = tonumber(redis.call('GET', p .. 'epoch:' .. ARGV[1]) or '0')
redis.call('SET', p .. 'epoch:' .. ARGV[1], int(math.max(highest, ARGV[2] + 1)), 'EX', ${EPOCH_MEMORY_S})
return 1
`),
  /** stream epoch session body → its six when it is that one */
  millraceDescribe: script(`
local stream, epoch, session, body = unpack(ARGV)
local h = holder(stream)
if not h or h[4] ~= epoch or h[2] ~= session then return {} end
put(stream, h[1], session, h[3], h[4], h[5], body)
return {h[1], session, h[3], h[4], h[5], body}
`),
  /** names → flat list of six for each that lives */
  millraceRead: script(`
local found = {}
for _, stream in ipairs(ARGV) do
  local h = holder(stream)
  if h then for j = 1, 6 do found[#found + 1] = h[j] end end
end
return found
`),
  /** node connectedAt leaseMs presence → 1 when it counts */
  millraceHeartbeat: script(`
local node, connectedAt, leaseMs, presence = unpack(ARGV)
local known = redis.call('HGET', p .. 'node:' .. node, 'connectedAt')
if known and tonumber(known) > tonumber(connectedAt) then return 0 end
redis.call('HSET', p .. 'node:' .. node, 'connectedAt', connectedAt, 'presence', presence)
redis.call('ZADD', p .. 'leases', int(now + tonumber(leaseMs)), node)
say('{"type":"node","presence":' .. presence .. '}')
return 1
`),
  /** node connectedAt|'' */
  millraceDrop: script(`
local known = redis.call('HGET', p .. 'node:' .. ARGV[1], 'connectedAt')
if ARGV[2] ~= '' and known and tonumber(known) > tonumber(ARGV[2]) then return 0 end
if redis.call('ZSCORE', p .. 'leases', ARGV[1]) then drop(ARGV[1]) end
return 1
`),
  /** → how many leases it ended; at most 20 a call, so that it never holds Redis up */
  millraceSweep: script(`
local dead = redis.call('ZRANGEBYSCORE', p .. 'leases', '-inf', int(now), 'LIMIT', 0, 20)
for _, node in ipairs(dead) do drop(node) end
return #dead
`),
  millraceNodes: script(`
local found = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', p .. 'leases', '(' .. int(now), '+inf')) do
  local presence = redis.call('HGET', p .. 'node:' .. node, 'presence')
  if presence then found[#found + 1] = presence end
end
return found
`),
};
