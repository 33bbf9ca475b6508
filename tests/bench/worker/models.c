// SPDX-License-Identifier: GPL-2.0
/*
 * W4: two models that come and go in turn, while a set of small blocks churns.
 *
 * The tensors of a model are 4 KiB to 24 MiB, scaled so that they make as many
 * bytes as were asked for.
 */
#include "pages.h"
#include "random.h"
#include "trace.h"
#include "workload.h"

enum {
	TENSOR_MIN = 4 << 10,
	TENSOR_MAX = 24 << 20,
	MODELS = 2,
	TENSORS = 300, /* at most */
	BLOCK_MIN = 64,
	BLOCK_MAX = 64 << 10,
};

static const uint32_t tensors_of[MODELS] = { TENSORS, 200 };

struct model {
	uint32_t count;
	uint32_t sizes[TENSORS], slots[TENSORS];
};

struct world {
	struct trace *trace;
	struct random random;
	struct model models[MODELS];
	uint32_t live, *blocks;
	uint32_t pairs;
};

static void model_init(struct model *model, struct random *random, uint32_t count, uint64_t bytes)
{
	double sum = 0, size;
	uint32_t i;

	model->count = count;
	for (i = 0; i < count; i++) {
		model->sizes[i] = random_size(random, TENSOR_MIN, TENSOR_MAX);
		sum += model->sizes[i];
	}
	for (i = 0; i < count; i++) {
		size = model->sizes[i] * ((double)bytes / sum);
		size = size < TENSOR_MIN ? TENSOR_MIN : size > TENSOR_MAX ? TENSOR_MAX : size;
		model->sizes[i] = (uint32_t)size;
	}
}

static void load(struct world *world, unsigned int which)
{
	struct model *model = &world->models[which];
	uint32_t i;

	for (i = 0; i < model->count; i++)
		model->slots[i] = trace_alloc(world->trace, model->sizes[i]);
}

static void unload(struct world *world, unsigned int which)
{
	struct model *model = &world->models[which];
	uint32_t i;

	for (i = 0; i < model->count; i++)
		trace_free(world->trace, model->slots[i]);
}

static void churn(struct world *world)
{
	uint32_t i, *block;

	for (i = 0; i < world->pairs; i++) {
		block = &world->blocks[random_below(&world->random, world->live)];
		trace_free(world->trace, *block);
		*block = trace_alloc(world->trace,
				     random_size(&world->random, BLOCK_MIN, BLOCK_MAX));
	}
}

static void script(struct world *world)
{
	load(world, 0);
	churn(world);
	load(world, 1);
	churn(world);
	unload(world, 0);
	churn(world);
	load(world, 0);
	churn(world);
	unload(world, 1);
	churn(world);
	load(world, 1);
	trace_phase(world->trace, true, "loaded", true);
	churn(world);
	unload(world, 0);
	churn(world);
	unload(world, 1);
	trace_phase(world->trace, true, "unloaded", true);
}

struct trace *models_trace(const struct scale *scale)
{
	struct world world = {
		.random = { scale->seed },
		.live = scale->tiny ? 100 : 2000,
		.pairs = scale->tiny ? 200 : 5000,
	};
	uint32_t i;

	world.trace = trace_new(12 * TENSORS + 2 * world.live + 16 * world.pairs,
				MODELS * TENSORS + world.live);
	world.blocks = pages_new(world.live * sizeof(*world.blocks));
	for (i = 0; i < MODELS; i++)
		model_init(&world.models[i], &world.random, tensors_of[i], scale->model);
	for (i = 0; i < world.live; i++)
		world.blocks[i] =
			trace_alloc(world.trace, random_size(&world.random, BLOCK_MIN, BLOCK_MAX));
	trace_phase(world.trace, false, NULL, false);
	script(&world);
	trace_free_all(world.trace);
	trace_phase(world.trace, false, NULL, false);
	pages_free(world.blocks, world.live * sizeof(*world.blocks));
	return world.trace;
}
