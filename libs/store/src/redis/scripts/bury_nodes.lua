-- Declares pods dead that have no health. ARGV: run, now, cluster, token, pod... Answers for each whether it is dead.
if comes_too_late(ARGV[3], ARGV[4]) then return {'late'} end
local dead = {}
for i = 5, #ARGV do dead[#dead + 1] = lay_to_rest(ARGV[i]) and 1 or 0 end
return {'done', dead}
