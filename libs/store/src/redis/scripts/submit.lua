-- Accepts a task once. ARGV: run, now, what accept says, and how many may wait.
local t, cluster = ARGV[3], ARGV[5]
local known = call('HMGET', '@state@' .. t, 'cluster', 'fingerprint', 'connection')
if known[1] and known[1] ~= cluster then return {'cluster', known[1]} end
if known[1] and known[2] ~= ARGV[7] then return {'request'} end
if not known[1] and call('ZCARD', '@waiting@' .. cluster) >= tonumber(ARGV[12]) then return {'full'} end
local home = home_of(t)
if not home then
  home = known[3] or ARGV[4]
  attach(home, t)
end
history(home)
if not known[1] then
  accept()
  enqueue(t)
end
keep_task(t)
keep_connection(home)
return {known[1] and 'repeated' or 'new', home, call('EXISTS', '@connections@' .. home)}
