/* Attention of several queries to the same keys, as they lie in a slot.
 *
 * Block after block of keys: what was summed so far fades when larger scores are met (Milakov & Gimelshein 2018), so
 * no row of scores is ever kept. All queries that share keys, those of a group of heads and of tokens of one slot, meet
 * a block while it is near the processor: two at a time so that registers hold their sums, or, where there are more, as
 * tiles (tiles.h).
 */
#define KEYS (6 * ROWS) /* of a block: with their values they leave room for the queries in the nearest cache */
#define KEYS_AHEAD 24 /* that are fetched before they are needed: processors stop at the end of a page */
#define FEW (LANES / 2) /* queries up to which they are met two by two */

typedef float four __attribute__((vector_size(16), aligned(4)));
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t places __attribute__((vector_size(32)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (places){__VA_ARGS__})
#endif

typedef struct {
    const float *query;
    float *out;
    int64_t length; /* keys that it sees */
    float best, total;
} seeker;

#include "tiles.h"

/* Sum each of four vectors. */
static inline __attribute__((always_inline)) four sums_of(eight a, eight b, eight c, eight d) {
    const eight ab = SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14) + SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
    const eight cd = SHUFFLE(c, d, 0, 8, 2, 10, 4, 12, 6, 14) + SHUFFLE(c, d, 1, 9, 3, 11, 5, 13, 7, 15);
    const union {
        eight all;
        four half[2];
    } sums = {SHUFFLE(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15)};
    return sums.half[0] + sums.half[1];
}

/* Compute the products of one or two queries with some keys; their values, which are needed next, are fetched. */
static inline __attribute__((always_inline)) void score(
    const seeker *s, const float *keys, const float *values, int64_t count, int64_t size, float scale,
    float (*scores)[KEYS], const int queries) {
    int64_t key = 0;
    for (; key + 4 <= count; key += 4, keys += 4 * size) {
        eight sums[2][4] = {0};
        for (int64_t i = 0; i < size; i += 8) {
            fetch(keys + KEYS_AHEAD * size + 4 * i, 32);
            fetch(values + key * size + 4 * i, 32);
#pragma GCC unroll 2
            for (int q = 0; q < queries; q++)
#pragma GCC unroll 4
                for (int k = 0; k < 4; k++)
                    sums[q][k] += *(const eight *)(s[q].query + i) * *(const eight *)(keys + k * size + i);
        }
#pragma GCC unroll 2
        for (int q = 0; q < queries; q++)
            *(four *)(scores[q] + key) = scale * sums_of(sums[q][0], sums[q][1], sums[q][2], sums[q][3]);
    }
    for (; key < count; key++, keys += size)
        for (int q = 0; q < queries; q++) scores[q][key] = scale * dot(s[q].query, keys, size);
}

/* Make weights of the scores of the keys that a query sees, and let what it summed before fade. */
static void weigh(seeker *s, float *scores, int64_t seen, int64_t size) {
    float top = s->best, sum = 0;
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < seen; i++) top = scores[i] > top ? scores[i] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < seen; i++) sum += scores[i] = exponential(scores[i] - top);
    if (top > s->best) {
        const float fade = exponential(s->best - top);
        for (int64_t i = 0; i < size; i++) s->out[i] *= fade;
        s->total *= fade;
        s->best = top;
    }
    s->total += sum;
}

/* Compute out[i:] += weights @ values[:, i:] for one or two queries, some vectors of the values at once. */
static inline __attribute__((always_inline)) void mix_vectors(
    const seeker *s, float (*weights)[KEYS], const float *values, int64_t count, int64_t size, int64_t i,
    const int queries, const int vectors) {
    eight sums[2][4] = {0};
    for (int64_t key = 0; key < count; key++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
#pragma GCC unroll 2
            for (int q = 0; q < queries; q++)
                sums[q][v] += weights[q][key] * *(const eight *)(values + key * size + i + 8 * v);
#pragma GCC unroll 2
    for (int q = 0; q < queries; q++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) *(eight *)(s[q].out + i + 8 * v) += sums[q][v];
}

static inline __attribute__((always_inline)) void mix(
    const seeker *s, float (*weights)[KEYS], const float *values, int64_t count, int64_t size, const int queries) {
    int64_t i = 0;
    for (; i + 32 <= size; i += 32) mix_vectors(s, weights, values, count, size, i, queries, 4);
    for (; i < size; i += 8) mix_vectors(s, weights, values, count, size, i, queries, 1);
}

/* Let one or two queries meet a block. What one does not see is left out: weighed with zero, it would reach it if it is
 * not a number. */
static inline __attribute__((always_inline)) void meet(
    seeker *s, const float *keys, const float *values, int64_t first, int64_t count, int64_t size, float scale,
    const int queries) {
    float scores[2][KEYS];
    int64_t seen[2];
    score(s, keys, values, count, size, scale, scores, queries);
    for (int q = 0; q < queries; q++) {
        seen[q] = s[q].length < first ? 0 : s[q].length - first < count ? s[q].length - first : count;
        weigh(s + q, scores[q], seen[q], size);
    }
    if (queries == 2 && seen[0] == seen[1]) {
        mix(s, scores, values, seen[0], size, 2);
        return;
    }
    for (int q = 0; q < queries; q++) mix(s + q, scores + q, values, seen[q], size, 1);
}

/* Let queries meet the keys from `first` on two by two. */
static void attend_by_two(seeker *s, int64_t queries, const float *keys, const float *values, int64_t first,
                          int64_t size, float scale) {
    const int64_t most = s[queries - 1].length;
    for (; first < most; first += KEYS) {
        const float *k = keys + first * size, *v = values + first * size;
        const int64_t count = most - first < KEYS ? most - first : KEYS;
        int64_t q = 0;
        for (; q + 2 <= queries; q += 2) meet(s + q, k, v, first, count, size, scale, 2);
        if (q < queries) meet(s + q, k, v, first, count, size, scale, 1);
    }
}

/* Write what each of some queries finds among the keys that it sees; the first sees the fewest, the last the most. */
static void attend(seeker *s, int64_t queries, const float *keys, const float *values, int64_t size, float scale) {
    for (int64_t q = 0; q < queries; q++) {
        memset(s[q].out, 0, size * sizeof(float));
        s[q].best = -INFINITY;
        s[q].total = 0;
    }
    const int64_t rest = queries % PANEL, together = rest > FEW ? queries : queries - rest;
    if (together) attend_together(s, together, keys, values, size, scale);
    for (int64_t q = 0; q < queries; q += PANEL)
        attend_by_two(s + q, queries - q < PANEL ? queries - q : PANEL, keys, values, q < together ? s[q].length : 0,
                      size, scale);
    for (int64_t q = 0; q < queries; q++)
        for (int64_t i = 0; i < size; i++) s[q].out[i] /= s[q].total;
}
