-- ARGV: run, now, name. Answers nothing, or holder (empty where it was given back) and version.
local lease = call('HMGET', '@lease@' .. ARGV[3], 'holder', 'version')
if not lease[2] then return {} end
return {lease[1] or '', lease[2]}
