/* A step of a Llama-like network over KV slots, in one call: what fused_network.py computes by tensor calls.
 *
 * A small model on a CPU spends its time between the products, not in them. Here a step is one function, its weights
 * are read once for all tokens, and each token may have a LoRA adapter of its own, which costs what the adapter has to
 * multiply and nothing else. Plain C with the vectors of GCC and Clang: any width, any processor, no intrinsics.
 * Everything is summed in float32; which thread computes what changes no sum. compiled_forward.py mirrors the structs.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "numbers.h"
#include "products.h"

#include "attention.h"

typedef struct {
    product qkv, out, gate_up, down;
    const float *norm, *mlp_norm, *query_norm, *key_norm; /* the last two or NULL */
    float *keys, *values;                                 /* [slots, kv_heads, max_len, head_dim] */
} layer;

typedef struct {
    const layer *layers;
    product lm_head;
    const float *embedding, *turns, *norm; /* turns: [max_len, head_dim / 2] of cosine and sine */
    int64_t layer_count, hidden, heads, kv_heads, head_dim, feed_forward, slots, max_len, vocabulary;
    float epsilon, scale;
} network;

typedef struct { /* outputs[first:] += up @ down @ inputs */
    product down, up;
    int64_t first;
} update;

typedef struct {
    const update *updates;
    int64_t count;
} site; /* of an adapter: four for each layer in the order of its products, then one for the head */

typedef struct {
    int64_t id, position, slot;
    const site *adapter; /* or NULL */
} token;

#define MANY_ROWS 16 /* from which on threads share what is done row by row */
#define RUN (4 * ROWS) /* rows that share an adapter and are computed together, at most */

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Add an adapter's updates to some rows. */
static void update_rows(const site *of, const float *x, float *y, int64_t stride, int64_t rows) {
    for (const update *u = of->updates; u < of->updates + of->count; u++) {
        float low[rows * u->up.inputs];
        multiply(&u->down, x, low, u->up.inputs, 0, rows, 1);
        multiply(&u->up, low, y + u->first, stride, 1, rows, 1);
    }
}

/* The same as multiply, with each token's adapter on top; neighbours that have the same one share it. */
static void adapted(const product *p, int64_t place, const token *tokens, int64_t count, const float *x, float *y,
                    int64_t stride, int adds, int threads) {
    multiply(p, x, y, stride, adds, count, threads);
    int64_t firsts[count + 1], runs = 0;
    for (int64_t i = 0; i < count; i++)
        if (!i || tokens[i].adapter != tokens[i - 1].adapter || i - firsts[runs - 1] == RUN) firsts[runs++] = i;
    firsts[runs] = count;
#pragma omp parallel for num_threads(threads) if (threads > 1 && runs > 1)
    for (int64_t run = 0; run < runs; run++) {
        const int64_t first = firsts[run];
        if (tokens[first].adapter)
            update_rows(tokens[first].adapter + place, x + first * p->inputs, y + first * stride, stride,
                        firsts[run + 1] - first);
    }
}

static void normalise(const float *x, const float *weight, float epsilon, int64_t size, float *y) {
    const float factor = 1 / sqrtf(dot(x, x, size) / size + epsilon);
#pragma omp simd
    for (int64_t i = 0; i < size; i++) y[i] = x[i] * factor * weight[i];
}

/* Turn pairs of numbers, as complex ones, to a position. */
static void turn(float *head, const float *turns, int64_t size) {
    for (int64_t i = 0; i < size; i += 2) {
        const float real = head[i], imaginary = head[i + 1];
        head[i] = real * turns[i] - imaginary * turns[i + 1];
        head[i + 1] = real * turns[i + 1] + imaginary * turns[i];
    }
}

/* Put queries and keys in their places: normalise and turn them, and store keys and values in the slots. */
static void place_heads(const network *n, const layer *l, const token *t, float *qkv) {
    const int64_t size = n->head_dim, start = (t->slot * n->kv_heads * n->max_len + t->position) * size;
    for (int64_t head = 0; head < n->heads + n->kv_heads; head++) {
        const float *weight = head < n->heads ? l->query_norm : l->key_norm;
        if (weight) normalise(qkv + head * size, weight, n->epsilon, size, qkv + head * size);
        turn(qkv + head * size, n->turns + t->position * size, size);
    }
    for (int64_t head = 0; head < n->kv_heads; head++) {
        const int64_t there = start + head * n->max_len * size;
        memcpy(l->keys + there, qkv + (n->heads + head) * size, size * sizeof *qkv);
        memcpy(l->values + there, qkv + (n->heads + n->kv_heads + head) * size, size * sizeof *qkv);
    }
}

/* Let tokens attend, kv head by kv head; neighbours in one slot share its keys. */
static void attend_all(const network *n, const layer *l, const token *tokens, int64_t count, const float *qkv,
                       float *out, int threads) {
    const int64_t size = n->head_dim, group = n->heads / n->kv_heads, width = (n->heads + 2 * n->kv_heads) * size;
    const int64_t most = larger(1, TILES * PANEL / group);
    int64_t firsts[count + 1], tiles = 0; /* where neighbours begin */
    for (int64_t i = 0; i < count; i++)
        if (!i || tokens[i].slot != tokens[i - 1].slot || i - firsts[tiles - 1] == most) firsts[tiles++] = i;
    firsts[tiles] = count;
#pragma omp parallel for num_threads(threads) if (threads > 1 && count * n->heads > threads)
    for (int64_t i = 0; i < tiles * n->kv_heads; i++) {
        const int64_t tile = i % tiles, head = i / tiles, first = firsts[tile], together = firsts[tile + 1] - first;
        const int64_t there = (tokens[first].slot * n->kv_heads + head) * n->max_len * size;
        seeker seekers[together * group];
        for (int64_t q = 0; q < together * group; q++) {
            const int64_t at = first + q / group, of = head * group + q % group;
            seekers[q] = (seeker){.query = qkv + at * width + of * size, .out = out + (at * n->heads + of) * size,
                                  .length = tokens[at].position + 1};
        }
        attend(seekers, together * group, l->keys + there, l->values + there, size, n->scale);
    }
}

static void normalise_all(const float *x, const float *weight, float epsilon, int64_t size, int64_t count, float *y,
                          int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1 && count >= MANY_ROWS)
    for (int64_t i = 0; i < count; i++) normalise(x + i * size, weight, epsilon, size, y + i * size);
}

/* Compute silu(gate) * up from rows of both `[count, 2 * size]`, in two goes: in one, a compiler computes both sides of
 * each choice in the exponential up to the quotient, and that of the largest is too small a number to be computed fast. */
static void gate(const float *both, int64_t size, int64_t count, float *out, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1 && count >= MANY_ROWS)
    for (int64_t row = 0; row < count; row++) {
        const float *gates = both + row * 2 * size, *up = gates + size;
        float *y = out + row * size;
#pragma omp simd
        for (int64_t i = 0; i < size; i++) y[i] = exponential(-gates[i]);
#pragma omp simd
        for (int64_t i = 0; i < size; i++) y[i] = gates[i] / (1 + y[i]) * up[i];
    }
}

/* Numbers of scratch that a token needs. */
int64_t scratch_per_token(const network *n) {
    const int64_t heads = n->heads * n->head_dim, qkv = heads + 2 * n->kv_heads * n->head_dim;
    return 2 * n->hidden + larger(qkv, 2 * n->feed_forward) + larger(heads, n->feed_forward);
}

/* Sizes of the structs that the caller mirrors. */
int64_t struct_bytes(void) {
    return sizeof(product) + sizeof(layer) + sizeof(network) + sizeof(update) + sizeof(site);
}

int64_t panel_outputs(void) { return PANEL; }

/* y [rows, outputs] = x [rows, inputs] @ weight.T + bias. */
void linear(const product *p, const float *x, float *y, int64_t rows, int64_t threads) {
    multiply(p, x, y, p->outputs, 0, rows, (int)threads);
}

/* Return 0, or the number (from 1) of a token that is not in the vocabulary or has no place in the slots. */
static int64_t misplaced(const network *n, const token *tokens, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        const token t = tokens[i];
        if (t.id < 0 || t.id >= n->vocabulary || t.position < 0 || t.position >= n->max_len || t.slot < 0 ||
            t.slot >= n->slots)
            return i + 1;
    }
    return 0;
}

/* Compute tokens, each after those before it in its slot, and write the logits [end_count, vocabulary] of those at
 * `ends`, in rising order. Returns 0, or if nothing was computed the number (from 1) of a misplaced token. */
int64_t forward(const network *n, const token *tokens, int64_t count, const int64_t *ends, int64_t end_count,
                float *logits, float *scratch, int64_t threads) {
    const int64_t wrong = misplaced(n, tokens, count);
    if (wrong) return wrong;
    const int64_t hidden = n->hidden, width = (n->heads + 2 * n->kv_heads) * n->head_dim;
    float *x = scratch, *normal = x + count * hidden, *wide = normal + count * hidden;
    float *narrow = wide + count * larger(width, 2 * n->feed_forward);
    for (int64_t i = 0; i < count; i++)
        memcpy(x + i * hidden, n->embedding + tokens[i].id * hidden, hidden * sizeof *x);
    token wanted[larger(1, end_count)];
    for (int64_t i = 0; i < n->layer_count; i++) {
        const layer *l = n->layers + i;
        normalise_all(x, l->norm, n->epsilon, hidden, count, normal, (int)threads);
        adapted(&l->qkv, 4 * i, tokens, count, normal, wide, width, 0, (int)threads);
#pragma omp parallel for num_threads((int)threads) if (threads > 1 && count >= MANY_ROWS)
        for (int64_t t = 0; t < count; t++) place_heads(n, l, tokens + t, wide + t * width);
        if (i == n->layer_count - 1) { /* of the other tokens nothing but keys and values was wanted */
            for (int64_t end = 0; end < end_count; end++) {
                wanted[end] = tokens[ends[end]];
                memmove(x + end * hidden, x + ends[end] * hidden, hidden * sizeof *x);
                memmove(wide + end * width, wide + ends[end] * width, width * sizeof *wide);
            }
            tokens = wanted;
            count = end_count;
        }
        attend_all(n, l, tokens, count, wide, narrow, (int)threads);
        adapted(&l->out, 4 * i + 1, tokens, count, narrow, x, hidden, 1, (int)threads);
        normalise_all(x, l->mlp_norm, n->epsilon, hidden, count, normal, (int)threads);
        adapted(&l->gate_up, 4 * i + 2, tokens, count, normal, wide, 2 * n->feed_forward, 0, (int)threads);
        gate(wide, n->feed_forward, count, narrow, (int)threads);
        adapted(&l->down, 4 * i + 3, tokens, count, narrow, x, hidden, 1, (int)threads);
    }
    normalise_all(x, n->norm, n->epsilon, hidden, count, normal, (int)threads);
    adapted(&n->lm_head, 4 * n->layer_count, tokens, count, normal, logits, n->vocabulary, 0, (int)threads);
    return 0;
}
