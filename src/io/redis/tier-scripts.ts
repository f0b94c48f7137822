/**
 * What is done on the server in one go, for the machines that share a cache. The log of purges, its state and the machines stand in
 * keys of one hash tag, so that one script may change them, and none has a time to live, so that a server which makes room by those
 * that have one keeps them. Whatever is gone of them, by a restart, an eviction or a hand, shows: then all of it is as good as gone,
 * and the log begins anew with another generation.
 *
 *     state      hash: generation; last, id: of the last entry of the log; server: who had it last; young: see below
 *     log        stream; NUMBER-0: "i" its id, "b" the id of the one before it, "p" the purge
 *     machines   hash: "" (shows that it is there), "m" and a name: "NUMBER:UNTIL", how far a machine is, and until when it is there
 *
 * Another server than before (a restart, a replica that took over) may lack the last of what was written: machines that had come,
 * purges that were logged. For as long as a presence may last from then on the state is young: a purge waits that long, as for a machine
 * that nobody knows of, and who does not serve does not begin to.
 */

/** Sets `now`, in milliseconds of the server's clock, and `server`, another one after each start. */
const SERVER = `local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
`;

/** Sets `young`, from `s`, which is generation, last, id, server, young. */
const YOUNG = `local young = tonumber(s[5] or '0')
if s[4] ~= server then
  young = now + tonumber(ARGV[1])
  redis.call('HSET', KEYS[1], 'server', server, 'young', string.format('%.0f', young))
end
`;

/**
 * A machine is there, and its position is told. KEYS: state, log, machines. ARGV: how long it is there, its name; generation, number
 * and id of what it has applied last; a generation, should there be none.
 *
 * It is not said to have applied what it knows of another log: of another generation, or of one that branched off when a server took over
 * that had not seen all of it. Reads of `machines` are avoided, so that machines are not told of each other's renewals.
 */
export const REPORT = `${SERVER}local s = redis.call('HMGET', KEYS[1], 'generation', 'last', 'id', 'server', 'young')
if not s[1] or redis.call('HSETNX', KEYS[3], '', '') == 1 then
  s = { ARGV[6], '0', '' }
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[1], 'generation', s[1], 'last', '0', 'id', '')
  redis.call('HSET', KEYS[3], '', '')
end
${YOUNG}local applied = '-1'
if ARGV[3] == s[1] then
  if ARGV[4] == s[2] then
    if ARGV[5] == s[3] then applied = ARGV[4] end
  elseif ARGV[4] == '0' then applied = '0'
  elseif tonumber(ARGV[4]) < tonumber(s[2]) then
    local e = redis.call('XRANGE', KEYS[2], ARGV[4] .. '-0', ARGV[4] .. '-0')
    if e[1] and e[1][2][2] == ARGV[5] then applied = ARGV[4] end
  end
end
local presence = applied .. ':' .. string.format('%.0f', now + tonumber(ARGV[1]))
if redis.call('HSET', KEYS[3], 'm' .. ARGV[2], presence) == 1 then
  local all = redis.call('HGETALL', KEYS[3])
  for i = 1, #all, 2 do
    local ends = string.match(all[i + 1], ':(%d+)$')
    if ends and tonumber(ends) < now then redis.call('HDEL', KEYS[3], all[i]) end
  end
end
return { s[1], s[2], s[3], young > now and 1 or 0 }`;

/** KEYS: state, log. ARGV: generation, id, the purge, how many to keep. "": the log is another one. Again with the same id: once. */
export const APPEND = `local s = redis.call('HMGET', KEYS[1], 'generation', 'last', 'id')
if s[1] ~= ARGV[1] then return '' end
if s[3] == ARGV[2] then return s[2] end
local n = string.format('%.0f', tonumber(s[2]) + 1)
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[4], n .. '-0', 'i', ARGV[2], 'b', s[3], 'p', ARGV[3])
redis.call('HSET', KEYS[1], 'last', n, 'id', ARGV[2])
return n`;

/** KEYS: state, machines. ARGV: how long machines are there. Generation, whether it is young, and names with numbers; "": it is lost. */
export const MACHINES = `${SERVER}local s = redis.call('HMGET', KEYS[1], 'generation', 'last', 'id', 'server', 'young')
local all = redis.call('HGETALL', KEYS[2])
if not s[1] or #all == 0 then return { '' } end
${YOUNG}local there = { s[1], young > now and '1' or '0' }
for i = 1, #all, 2 do
  local number, ends = string.match(all[i + 1], '^(-?%d+):(%d+)$')
  if ends and tonumber(ends) > now then
    there[#there + 1] = string.sub(all[i], 2)
    there[#there + 1] = number
  end
end
return there`;

/** KEYS: an answer. Its head, its body when that is small, and for how long it is there still; at one moment. */
export const GET = `local f = redis.call('HMGET', KEYS[1], 'head', 'small')
return { f[1], f[2], redis.call('PTTL', KEYS[1]) }`;

/** KEYS: an answer. ARGV: what its body is known by, a head, how long it is there. 1: it has that body, and now this head. */
export const CONFIRM = `if redis.call('HGET', KEYS[1], 'body') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'head', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`;
