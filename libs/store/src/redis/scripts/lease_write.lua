-- ARGV: run, now, name, holder (empty to give it back), expected version (empty for no lease).
local key = '@lease@' .. ARGV[3]
local known = call('HGET', key, 'version')
if (known or '') ~= ARGV[5] and not @bug_blind_renewal@ then return {'conflict'} end
-- By the clock, so that it rises even where the last ones were lost.
local version = int(math.max(tick(), tonumber(known or 0) + 1))
call('HSET', key, 'holder', ARGV[4], 'version', version)
call('EXPIRE', key, @ttl@)
return {'done', version}
