// SPDX-License-Identifier: GPL-2.0
/*
 * The kinds of cells: what they are called and look like.
 */
#include "map.h"

static const struct {
	const char *name;
	char letter;
	unsigned char colour;
} kinds[] = {
	[MAP_OTHERS] = {"others", '&', 250},
	[MAP_UNSEEN] = {"unseen", '?', 245},
	[MAP_MIXED] = {"mixed", '+', 252},
	[MAP_QUARANTINED] = {"quarantined", '%', 226},
	[MAP_RETIRED] = {"retired", '!', 196},
	[MAP_DIRTY] = {"dirty", ':', 94},
	[MAP_ZEROED] = {"zeroed", '.', 65},
	[MAP_MISSING] = {"missing", '_', 240},
};

/* Neighbours differ in hue, and none is as dark as what is free. */
static const unsigned char owner_colours[MAP_OWNERS] = {
	33, 208, 135, 43, 199, 149, 63, 173, 81, 105, 179, 168,
};

const char *map_kind_name(unsigned int kind)
{
	return kind < MAP_OTHERS ? "file" : kinds[kind].name;
}

char map_cell_letter(struct map_cell cell)
{
	if (cell.kind < MAP_OTHERS)
		return (char)((cell.split ? 'a' : 'A') + (int)cell.kind);
	if (cell.split && cell.kind == MAP_DIRTY)
		return ';';
	return cell.split && cell.kind == MAP_ZEROED ? ',' : kinds[cell.kind].letter;
}

unsigned int map_kind_colour(unsigned int kind)
{
	return kind < MAP_OTHERS ? owner_colours[kind] : kinds[kind].colour;
}

/* Colours from 16 on are a cube of 6 levels a component, those from 232 on are greys. */
unsigned int map_kind_rgb(unsigned int kind)
{
	static const unsigned int levels[] = {0, 95, 135, 175, 215, 255};
	unsigned int colour = map_kind_colour(kind);

	if (colour >= 232)
		return (8 + 10 * (colour - 232)) * 0x010101;
	colour -= 16;
	return levels[colour / 36] << 16 | levels[colour / 6 % 6] << 8 | levels[colour % 6];
}
