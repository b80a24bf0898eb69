"""What must happen at once in Redis, as Lua: the flip, the expiry of old releases, and an offer's change.

Portable: Redis 6.2 and later, Valkey. Every key a script touches is named in KEYS. A script that may decline answers
{OK, what} or {why not, what}.
"""

# KEYS: current, history, releases, `needed` keys of the release, then its optional ones
# ARGV: release id, how many keys are needed, history depth, the release the pointer must name now ("" for any), whether
#     that one leaves history (1)
# The pointer moves last: a server that is full, or a key of another kind, fails before. Returns the releases that
# history no longer names.
FLIP = """
local now = redis.call('GET', KEYS[1]) or ''
if ARGV[4] ~= '' and now ~= ARGV[4] then return {'POINTER', now} end
local needed = tonumber(ARGV[2])
for i = 4, 3 + needed do
  if redis.call('EXISTS', KEYS[i]) == 0 then return {'ABSENT', KEYS[i]} end
end
redis.call('SADD', KEYS[3], ARGV[1])
for i = 4, #KEYS do redis.call('PERSIST', KEYS[i]) end
if ARGV[5] == '1' then redis.call('LREM', KEYS[2], 0, now) end
redis.call('LREM', KEYS[2], 0, ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[1])
redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[3]) - 1)
redis.call('SET', KEYS[1], ARGV[1])
local kept = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do kept[id] = true end
local old = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  if not kept[id] then old[#old + 1] = id end
end
return {'OK', old}
"""

# KEYS: any number of strings; returns the bytes of each, 0 for one that is absent
SIZES = """
local sizes = {}
for i, key in ipairs(KEYS) do sizes[i] = redis.call('STRLEN', key) end
return sizes
"""

# KEYS: a hash; ARGV: the most bytes that are read, fields. Returns the fields' values, or their size if too large
FIELDS = """
local bytes = 0
for i = 2, #ARGV do bytes = bytes + redis.call('HSTRLEN', KEYS[1], ARGV[i]) end
if bytes > tonumber(ARGV[1]) then return {'LARGE', bytes} end
return {'OK', redis.call('HMGET', KEYS[1], unpack(ARGV, 2))}
"""

# KEYS: current, history, releases, every key of the release; ARGV: release id, seconds
# Lets a release expire unless somebody made it current or put it into history meanwhile. Returns 1 if it will.
EXPIRE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return 0 end
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  if id == ARGV[1] then return 0 end
end
for i = 4, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[2]) end
redis.call('SREM', KEYS[3], ARGV[1])
return 1
"""

# KEYS: current, changed, changes
# ARGV: release id, fresh epoch, length of the log, count of partitions, topic id, (partition, from, to)…,
#     (offer id, partition, offset, value)…
# `changed` holds, in one key so that all of it is there or none: epoch, seq, progress (JSON: partition -> next offset)
# with its SHA-1, topic (the id of the topic that progress counts in), and o:<offer id>, the offer's latest change.
# `changes` is a stream of offer ids whose entry ids are seq-0, so that a reader sees a gap. What cannot be read in them
# is written anew: a change counts as none, a log that does not take the next number begins again.
CHANGE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'POINTER', redis.call('GET', KEYS[1]) or ''} end
local stored = redis.call('HGET', KEYS[2], 'progress') or '{}'
local read, progress = pcall(cjson.decode, stored)
if not read or type(progress) ~= 'table' then return {'BEHIND', 'its progress cannot be read'} end
if stored ~= '{}' and redis.call('HGET', KEYS[2], 'progress_sha1') ~= redis.sha1hex(ARGV[1] .. stored) then
  return {'BEHIND', 'its progress is not what was written'}
end
local topic = redis.call('HGET', KEYS[2], 'topic')
if topic and ARGV[5] ~= '' and topic ~= ARGV[5] then
    return {'BEHIND', 'it holds offers of another topic, ' .. topic}
end
local stated = 6 + 3 * tonumber(ARGV[4])
for i = 6, stated - 1, 3 do
  local reached = progress[ARGV[i]] or 0
  if reached < tonumber(ARGV[i + 1]) then return {'BEHIND', 'partition ' .. ARGV[i] .. ' is at ' .. reached} end
  progress[ARGV[i]] = math.max(reached, tonumber(ARGV[i + 2]))
end
local function begin_log()
  redis.call('DEL', KEYS[3])
  redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'seq', 0)
end
if redis.call('HEXISTS', KEYS[2], 'epoch') == 0 then begin_log() end
local function log(offer_id)
  local next = redis.pcall('HINCRBY', KEYS[2], 'seq', 1)
  if type(next) ~= 'number' then return false end
  local added = redis.pcall('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], next .. '-0', 'o', offer_id)
  return not (type(added) == 'table' and added.err)
end
local applied = 0
for i = stated, #ARGV, 4 do
  local field = 'o:' .. ARGV[i]
  local known = redis.call('HGET', KEYS[2], field)
  local whole, change = pcall(cjson.decode, known or '')
  local source = whole and type(change) == 'table' and change['source']
  if type(source) ~= 'table' or tonumber(source[1]) ~= tonumber(ARGV[i + 1])
    or (tonumber(source[2]) or -1) < tonumber(ARGV[i + 2]) then
    redis.call('HSET', KEYS[2], field, ARGV[i + 3])
    if not log(ARGV[i]) then
      begin_log()
      log(ARGV[i])
    end
    applied = applied + 1
  end
end
stored = cjson.encode(progress)
redis.call('HSET', KEYS[2], 'progress', stored, 'progress_sha1', redis.sha1hex(ARGV[1] .. stored))
if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], 'topic', ARGV[5]) end
return {'OK', applied}
"""
