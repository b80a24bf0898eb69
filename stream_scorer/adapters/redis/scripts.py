"""Lua scripts for what must be atomic in Redis: the flip, the expiry of old releases, and changes of offers.

They run on Redis 6.2 and later, and on Valkey. KEYS names every key that a script touches. A script that may refuse
answers {'OK', result} or {reason, detail}.
"""

# KEYS: current, history, releases, the `needed` keys of the release, its optional keys
# ARGV: release id, how many keys are needed, history depth, the release that the pointer must name now ("" for any),
#     whether that release leaves history (1)
# The pointer moves last, so that a full server, or a key of another type, makes the script fail before. Returns the
# stored releases that history no longer names.
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

# KEYS: any number of strings. Returns the bytes of each, 0 for an absent key.
SIZES = """
local sizes = {}
for i, key in ipairs(KEYS) do sizes[i] = redis.call('STRLEN', key) end
return sizes
"""

# KEYS: a hash. ARGV: the most bytes to read, then fields. Returns the fields' values, or their size if it is too large.
# The check and the read share a script, so that no value can grow in between.
FIELDS = """
local bytes = 0
for i = 2, #ARGV do bytes = bytes + redis.call('HSTRLEN', KEYS[1], ARGV[i]) end
if bytes > tonumber(ARGV[1]) then return {'LARGE', bytes} end
return {'OK', redis.call('HMGET', KEYS[1], unpack(ARGV, 2))}
"""

# KEYS: current, history, releases, every key of the release. ARGV: release id, seconds
# Lets a release expire, unless it has become current or entered history meanwhile. Returns 1 if it will expire, else 0.
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
# ARGV: release id, a fresh epoch, length of the log, number of partitions, topic id, (partition, from, to)…,
#     (offer id, partition, offset, value)…
# `changed` is a single key, so that all of it exists or none: epoch, seq, progress (JSON: partition -> next offset)
# with its SHA-1, topic (the id of the topic whose offsets progress counts), o:<offer id> (the offer's latest change).
# `changes` is a stream of offer ids whose entry ids are seq-0, so that a reader sees a gap. Damage is written over: a
# change that cannot be read counts as absent, and a log that refuses the next number begins again.
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
