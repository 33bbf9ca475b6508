// SPDX-License-Identifier: GPL-2.0
// What a program loads later: its memory comes by operator new.
#include <cstddef>
#include <cstring>

extern "C" void *plugin_new(std::size_t size)
{
	char *memory = new char[size];

	std::memset(memory, 0x5a, size);
	return memory;
}

extern "C" void plugin_delete(void *memory)
{
	delete[] static_cast<char *>(memory);
}
