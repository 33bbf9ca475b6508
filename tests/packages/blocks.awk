# SPDX-License-Identifier: GPL-2.0
#
# usage: awk -v dir=DIR -f tests/packages/blocks.awk DOCUMENT
#
# Writes the shell commands of a document, a file a block, as DIR/NN.sh, numbered as they come.

/^```sh$/ {
	file = sprintf("%s/%02d.sh", dir, ++n)
	printf "" >file
	next
}
/^```$/ && file {
	close(file)
	file = ""
}
file { print >file }
