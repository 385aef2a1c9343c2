/* Sums and exponentials, as vectors of the compiler or loops that it turns into them. */
typedef float eight __attribute__((vector_size(32), aligned(4)));

static float dot(const float *a, const float *b, int64_t size) {
    eight sums[4] = {0};
    int64_t i = 0;
    for (; i + 32 <= size; i += 32)
#pragma GCC unroll 4
        for (int way = 0; way < 4; way++) sums[way] += *(const eight *)(a + i + 8 * way) * *(const eight *)(b + i + 8 * way);
    const eight s = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    float rest = 0;
    for (; i < size; i++) rest += a[i] * b[i];
    return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7])) + rest;
}

/* Have numbers brought from memory while something else is computed. */
static inline void fetch(const float *numbers, int64_t count) {
    for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(numbers + i);
}

/* e^x to two units in the last place: 2^n e^r with |r| <= ln 2 / 2, where e^r is Cephes' polynomial. */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const union {
        float number;
        uint32_t bits;
    } shifted = {x * 1.44269504f + 12582912.0f}; /* adding 1.5 * 2^23 leaves a whole number in the last bits */
    const float n = shifted.number - 12582912.0f;
    const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float power = 1.9875691500e-4f;
    power = power * r + 1.3981999507e-3f;
    power = power * r + 8.3334519073e-3f;
    power = power * r + 4.1665795894e-2f;
    power = power * r + 1.6666665459e-1f;
    power = power * r + 5.0000001201e-1f;
    power = power * r * r + r + 1.0f;
    const union {
        uint32_t bits;
        float number;
    } whole = {(shifted.bits + 127) << 23};
    return power * whole.number;
}
