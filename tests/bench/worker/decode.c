// SPDX-License-Identifier: GPL-2.0
/*
 * W1: the decode loop of a transformer with the dimensions of a 1B model, f32
 * activations, one token at a time. Each tensor is freed after its last use.
 *
 * Four stretches of a long sequence, of consecutive tokens each: the scores grow
 * by 128 bytes a token, from 2 KiB to 1 MiB over the whole.
 */
#include "trace.h"
#include "workload.h"

enum {
	LAYERS = 16,
	WORD = 4,
	HIDDEN = 2048 * WORD,
	KV = 512 * WORD,
	FFN = 8192 * WORD,
	VOCABULARY = 128256 * WORD,
	SCORES = 32 * WORD, /* a head, a position */
	ROPE = 1024 * WORD,
};

static const unsigned int stretches[] = { 16, 500, 2000, 8128 };
#define STRETCHES (sizeof(stretches) / sizeof(*stretches))

/* With @peak, the phase ends where most is alive. */
static uint32_t attention(struct trace *trace, uint32_t x, unsigned int position, bool peak)
{
	uint32_t norm, q, k, v, scores, context, sum;

	norm = trace_alloc(trace, HIDDEN);
	q = trace_alloc(trace, HIDDEN);
	k = trace_alloc(trace, KV);
	v = trace_alloc(trace, KV);
	trace_free(trace, norm);
	scores = trace_alloc(trace, (size_t)SCORES * position);
	trace_free(trace, q);
	trace_free(trace, k);
	context = trace_alloc(trace, HIDDEN);
	if (peak)
		trace_phase(trace, true, "peak", true);
	trace_free(trace, scores);
	trace_free(trace, v);
	sum = trace_alloc(trace, HIDDEN);
	trace_free(trace, context);
	trace_free(trace, x);
	return sum;
}

static uint32_t feed_forward(struct trace *trace, uint32_t x)
{
	uint32_t norm, gate, up, down, sum;

	norm = trace_alloc(trace, HIDDEN);
	gate = trace_alloc(trace, FFN);
	up = trace_alloc(trace, FFN);
	trace_free(trace, norm);
	down = trace_alloc(trace, HIDDEN);
	trace_free(trace, gate);
	trace_free(trace, up);
	sum = trace_alloc(trace, HIDDEN);
	trace_free(trace, x);
	trace_free(trace, down);
	return sum;
}

static void token(struct trace *trace, unsigned int position, bool peak)
{
	uint32_t rope = trace_alloc(trace, ROPE), x = trace_alloc(trace, HIDDEN), norm, logits;
	unsigned int layer;

	for (layer = 0; layer < LAYERS; layer++) {
		x = attention(trace, x, position, peak && layer == LAYERS - 1);
		x = feed_forward(trace, x);
	}
	norm = trace_alloc(trace, HIDDEN);
	trace_free(trace, rope);
	trace_free(trace, x);
	logits = trace_alloc(trace, VOCABULARY);
	trace_free(trace, norm);
	trace_free(trace, logits);
}

struct trace *decode_trace(const struct scale *scale)
{
	unsigned int tokens = scale->tiny ? 2 : 64 / scale->shorter, stretch, i;
	struct trace *trace = trace_new(STRETCHES * tokens * 512, 64);

	for (stretch = 0; stretch < STRETCHES; stretch++) {
		for (i = 0; i < tokens; i++)
			token(trace, stretches[stretch] + i,
			      stretch == STRETCHES - 1 && i == tokens - 1);
	}
	trace_phase(trace, true, NULL, false);
	return trace;
}
