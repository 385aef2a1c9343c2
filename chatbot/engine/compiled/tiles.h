/* Attention of many queries to the same keys: they are the lanes of vectors, those of products.h, a tile of PANEL after
 * the other. So no sum goes across a vector, and a number of a key, once read, is multiplied with all of a tile. A tile
 * of which no more than the first half is taken costs little more than half.
 */
#define TILES 4 /* that meet a block one after the other, at most */

typedef union { /* a number for each query of a tile */
    lanes half[2];
    float of[PANEL];
} across;

/* sums[row] += the products of some rows with all queries, or those of the first half; number i of a row lies at
 * a[row * row_step + i * step]: the rows are keys, or, where values are summed, their numbers across all keys. As many
 * numbers, times `ahead`, are fetched from `next`: a few at a time, for processors wait where many are asked for at once. */
static inline __attribute__((always_inline)) void sum_rows(
    const float *a, int64_t row_step, int64_t step, const across *b, int64_t count, across *sums, const float *next,
    int64_t ahead, const int rows, const int halves) {
    lanes low[ROWS] = {0}, high[ROWS] = {0};
    for (int64_t i = 0; i < count; i++) {
        __builtin_prefetch(next + i * rows * ahead);
#pragma GCC unroll 16
        for (int row = 0; row < rows; row++) {
            low[row] += a[row * row_step + i * step] * b[i].half[0];
            if (halves > 1) high[row] += a[row * row_step + i * step] * b[i].half[1];
        }
    }
#pragma GCC unroll 16
    for (int row = 0; row < rows; row++) {
        sums[row].half[0] += low[row];
        if (halves > 1) sums[row].half[1] += high[row];
    }
}

/* The same for any number of rows. Steps are constants where it is called, or finding the numbers would take as long as
 * multiplying them. */
static inline __attribute__((always_inline)) void sum_products(
    const float *a, int64_t rows, int64_t row_step, int64_t step, const across *b, int64_t count, across *sums,
    const float *next, int64_t ahead, const int halves) {
    int64_t row = 0;
    for (; row + ROWS <= rows; row += ROWS, next += ROWS * count * ahead)
        sum_rows(a + row * row_step, row_step, step, b, count, sums + row, next, ahead, ROWS, halves);
    for (; row + 4 <= rows; row += 4, next += 4 * count * ahead)
        sum_rows(a + row * row_step, row_step, step, b, count, sums + row, next, ahead, 4, halves);
    for (; row < rows; row++, next += count * ahead)
        sum_rows(a + row * row_step, row_step, step, b, count, sums + row, next, ahead, 1, halves);
}

static inline lanes larger_of(lanes a, lanes b) {
    const bits is_a = (bits)(a > b);
    return (lanes)((is_a & (bits)a) | (~is_a & (bits)b));
}

/* What weigh does, for a tile: make weights of scores, and let what was summed before fade. */
static inline __attribute__((always_inline)) void weigh_together(
    across *scores, int64_t count, across *best, across *total, across *out, int64_t size, const int halves) {
    across top = *best, sum = {0}, fade;
    for (int64_t key = 0; key < count; key++)
        for (int half = 0; half < halves; half++) top.half[half] = larger_of(scores[key].half[half], top.half[half]);
    for (int64_t key = 0; key < count; key++)
#pragma omp simd
        for (int q = 0; q < halves * LANES; q++) scores[key].of[q] = exponential(scores[key].of[q] - top.of[q]);
    for (int64_t key = 0; key < count; key++)
        for (int half = 0; half < halves; half++) sum.half[half] += scores[key].half[half];
#pragma omp simd
    for (int q = 0; q < PANEL; q++) fade.of[q] = exponential(best->of[q] - top.of[q]);
    for (int half = 0; half < halves; half++) {
        total->half[half] = total->half[half] * fade.half[half] + sum.half[half];
        for (int64_t i = 0; i < size; i++) out[i].half[half] *= fade.half[half];
    }
    *best = top;
}

/* Let a tile, or the half of it that is taken, meet a block of keys, each of which all see; `ahead` of the next are
 * fetched. */
static inline __attribute__((always_inline)) void meet_together(
    const across *asked, const float *keys, const float *values, int64_t count, int64_t size, across *best,
    across *total, across *out, int64_t ahead, const int halves) {
    across scores[KEYS];
    memset(scores, 0, count * sizeof *scores);
    sum_products(keys, count, size, 1, asked, size, scores, values, 1, halves);
    weigh_together(scores, count, best, total, out, size, halves);
    sum_products(values, size, 1, size, scores, count, out, keys + count * size, ahead, halves);
}

/* Let queries, tile by tile, meet the keys that the first of their tile sees. */
static void attend_together(seeker *s, int64_t queries, const float *keys, const float *values, int64_t size,
                            float scale) {
    const int64_t tiles = (queries + PANEL - 1) / PANEL, most = s[(tiles - 1) * PANEL].length;
    across asked[tiles][size], out[tiles][size], best[tiles], total[tiles];
    memset(asked, 0, sizeof asked);
    memset(out, 0, sizeof out);
    memset(total, 0, sizeof total);
    for (int64_t q = 0; q < tiles * PANEL; q++) best[q / PANEL].of[q % PANEL] = -INFINITY;
    for (int64_t q = 0; q < queries; q++)
        for (int64_t i = 0; i < size; i++) asked[q / PANEL][i].of[q % PANEL] = scale * s[q].query[i];
    for (int64_t first = 0; first < most; first += KEYS, keys += KEYS * size, values += KEYS * size)
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t left = s[t * PANEL].length - first, count = left < KEYS ? left : KEYS;
            const int64_t ahead = t == tiles - 1 && left > KEYS;
            if (count <= 0) continue;
            if (queries - t * PANEL > LANES)
                meet_together(asked[t], keys, values, count, size, best + t, total + t, out[t], ahead, 2);
            else
                meet_together(asked[t], keys, values, count, size, best + t, total + t, out[t], ahead, 1);
        }
    for (int64_t q = 0; q < queries; q++) {
        s[q].best = best[q / PANEL].of[q % PANEL];
        s[q].total = total[q / PANEL].of[q % PANEL];
        for (int64_t i = 0; i < size; i++) s[q].out[i] = out[q / PANEL][i].of[q % PANEL];
    }
}
