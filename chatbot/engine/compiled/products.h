/* Products of a few rows with weights kept in panels: the outputs of a panel lie side by side for each input.
 *
 * Where half a panel holds the last outputs, as those of an adapter's first product, it is a whole one of half the
 * inputs: its upper half has the same outputs for the other inputs.
 */
#if defined(__AVX512F__)
#define LANES 16
#define ROWS 12
#elif defined(__AVX__)
#define LANES 8
#define ROWS 6
#else
#define LANES 4
#define ROWS 6
#endif
#define WAYS 4 /* sums of one output side by side, at most */
#define HALVED (2 * WAYS) /* what the number of inputs is a multiple of where there are halves of panels */
#define PANEL (2 * LANES) /* outputs that are computed together */
#define HALF_ROWS 4 /* rows that are computed together with half a panel */
#define AHEAD 6144 /* bytes of weights that are fetched before they are needed: processors stop at the end of a page */
#define WORTH_THREADS 65536 /* multiplications below which threads cost more than they give */

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef float lanes_anywhere __attribute__((vector_size(4 * LANES), aligned(4)));
typedef uint32_t bits __attribute__((vector_size(4 * LANES)));

typedef struct {
    const void *weights; /* panel after panel; in one, for each input, the weights of its outputs */
    const float *bias;   /* or NULL */
    int64_t inputs, outputs, is_wide; /* wide: float32, else bfloat16, outputs i and LANES + i side by side */
} product;

/* Multiply one panel with some rows; as `rows`, `ways` and `is_wide` are constants, all sums stay in registers. */
static inline __attribute__((always_inline)) void multiply_panel(
    const product *p, int64_t first, const float *x, float (*sums)[PANEL], const int rows, const int ways,
    const int is_wide, const int is_half) {
    const int64_t stride = p->inputs, inputs = is_half ? stride / 2 : stride;
    const float *other = is_half ? x + inputs : x;
    const lanes *wide = (const lanes *)p->weights + first / PANEL * 2 * stride;
    const bits *narrow = (const bits *)p->weights + first / PANEL * stride;
    lanes low[ROWS][WAYS] = {0}, high[ROWS][WAYS] = {0};
    for (int64_t i = 0; i < inputs; i += ways)
#pragma GCC unroll 4
        for (int way = 0; way < ways; way++) {
            const void *here = is_wide ? (const void *)(wide + 2 * (i + way)) : narrow + i + way;
            __builtin_prefetch((const char *)here + AHEAD);
            const lanes a = is_wide ? wide[2 * (i + way)] : (lanes)(narrow[i + way] << 16);
            const lanes b = is_wide ? wide[2 * (i + way) + 1] : (lanes)(narrow[i + way] & 0xffff0000u);
#pragma GCC unroll 16
            for (int row = 0; row < rows; row++) {
                low[row][way] += x[row * stride + i + way] * a;
                high[row][way] += other[row * stride + i + way] * b;
            }
        }
#pragma GCC unroll 16
    for (int row = 0; row < rows; row++) {
#pragma GCC unroll 4
        for (int way = 1; way < ways; way++) {
            low[row][0] += low[row][way];
            high[row][0] += high[row][way];
        }
        *(lanes_anywhere *)sums[row] = is_half ? low[row][0] + high[row][0] : low[row][0];
        if (!is_half) *(lanes_anywhere *)(sums[row] + LANES) = high[row][0];
    }
}

/* The fewer rows, the more sums side by side, so that none waits for itself. */
#define CASE(rows, ways, is_half)                                                  \
    case rows:                                                                     \
        if (p->is_wide) multiply_panel(p, first, x, sums, rows, ways, 1, is_half); \
        else multiply_panel(p, first, x, sums, rows, ways, 0, is_half);            \
        break;

static void multiply_rows(const product *p, int64_t first, const float *x, float (*sums)[PANEL], int64_t rows) {
    switch (rows) {
        CASE(1, 4, 0) CASE(2, 2, 0) CASE(3, 2, 0) CASE(4, 1, 0) CASE(5, 1, 0) CASE(6, 1, 0)
#if ROWS > 6
        CASE(7, 1, 0) CASE(8, 1, 0) CASE(9, 1, 0) CASE(10, 1, 0) CASE(11, 1, 0) CASE(12, 1, 0)
#endif
    }
}

static void multiply_half(const product *p, int64_t first, const float *x, float (*sums)[PANEL], int64_t rows) {
    switch (rows) { CASE(1, 4, 1) CASE(2, 2, 1) CASE(3, 2, 1) CASE(4, 1, 1) }
}
#undef CASE

static void store(const float *sums, const float *bias, int64_t count, int adds, float *y) {
    if (adds)
        for (int64_t i = 0; i < count; i++) y[i] += sums[i];
    else
        for (int64_t i = 0; i < count; i++) y[i] = sums[i];
    if (bias)
        for (int64_t i = 0; i < count; i++) y[i] += bias[i];
}

/* y [rows, stride] = or += x [rows, inputs] @ weight.T + bias. */
static void multiply(const product *p, const float *x, float *y, int64_t stride, int adds, int64_t rows, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1 && p->inputs * p->outputs * rows > WORTH_THREADS)
    for (int64_t first = 0; first < p->outputs; first += PANEL) {
        const int64_t count = p->outputs - first < PANEL ? p->outputs - first : PANEL;
        const int is_half = count <= LANES && p->inputs % HALVED == 0;
        const int64_t most = is_half ? HALF_ROWS : ROWS;
        for (int64_t row = 0; row < rows; row += most) {
            const int64_t here = rows - row < most ? rows - row : most;
            float sums[ROWS][PANEL];
            (is_half ? multiply_half : multiply_rows)(p, first, x + row * p->inputs, sums, here);
            for (int64_t i = 0; i < here; i++)
                store(sums[i], p->bias ? p->bias + first : NULL, count, adds, y + (row + i) * stride + first);
        }
    }
}
