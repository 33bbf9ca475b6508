# SPDX-License-Identifier: GPL-2.0
#
# Counts test points in TAP, of one program or of many after each other. What did
# not happen counts as failed: points that a plan promised, a stream without a
# plan, a program without a stream, one ("# exit STATUS NAME") or a command
# (-v status=N) that ended badly without saying why. So do a point that comes twice
# or beyond its plan, and a second plan: they could stand in for a missing one.
#
# Prints "PASSED FAILED SKIPPED"; each failure goes to the file -v failures=F.

function fail(what)
{
	failed++
	bad_since_exit = 1
	print what >failures
}

# The end of one TAP stream: was every promise kept?
function finish()
{
	if (open && plan < 0)
		fail("no plan" where())
	else if (open && seen != plan)
		fail(seen " of " plan " tests ran" where())
	open = 0
}

function begin()
{
	finish()
	open = 1
	streams++
	plan = -1
	seen = 0
	delete numbers
}

function where()
{
	return program == "" ? "" : " in " program
}

BEGIN {
	passed = failed = skipped = 0
	plan = -1
}

/^TAP version / {
	begin()
	next
}

/^1\.\.[0-9]+/ {
	if (!open)
		begin()
	else if (plan >= 0)
		fail("a second plan" where())
	plan = substr($1, 4) + 0
	total++
	next
}

/^(not )?ok( |$)/ {
	if (!open)
		begin()
	number = /^not/ ? $3 : $2
	if (number !~ /^[0-9]+$/)
		number = seen + 1
	if (number in numbers)
		fail("test " number " came twice" where())
	else
		seen++
	numbers[number]
	if (/^not ok/)
		fail($0 where())
	else if (/# SKIP/)
		skipped++
	else
		passed++
	next
}

/^Bail out!/ {
	fail($0 where())
	next
}

/^# program / {
	finish()
	program = $3
	bad_since_exit = streams = 0
	next
}

# 4 is kselftest's way to say that all was skipped.
/^# exit [0-9]+ / {
	finish()
	if (!streams)
		fail($4 " printed no TAP")
	if ($3 != 0 && $3 != 4 && !bad_since_exit)
		fail($4 " exited with " $3)
	program = ""
	bad_since_exit = 0
	next
}

END {
	finish()
	if (status != 0 && !failed)
		fail("the command exited with " status)
	if (!total)
		fail("no test ran")
	print passed, failed, skipped
}
