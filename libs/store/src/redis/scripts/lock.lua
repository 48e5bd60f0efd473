-- ARGV: run, now, name, owner, milliseconds. Answers the token, or nothing where somebody has the lock.
local key, fence = '@lock@' .. ARGV[3], '@lock_fence@' .. ARGV[3]
if call('EXISTS', key) == 1 then return {} end
local token = int(math.max(tick(), tonumber(call('GET', fence) or 0) + 1))
call('SET', key, token .. ':' .. ARGV[4], 'PX', ARGV[5])
call('SET', fence, token, 'EX', @fence_life@)
return {token}
