/* Sums and exponentials, in loops that compilers turn into vectors. */
static float dot(const float *a, const float *b, int64_t size) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < size; i++) sum += a[i] * b[i];
    return sum;
}

static void add_scaled(float *y, float factor, const float *x, int64_t size) {
#pragma omp simd
    for (int64_t i = 0; i < size; i++) y[i] += factor * x[i];
}

/* e^x to two units in the last place: 2^n e^r with |r| <= ln 2 / 2, where e^r is Cephes' polynomial. */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float shifted = x * 1.44269504f + 12582912.0f; /* adding 1.5 * 2^23 rounds to a whole number */
    const float n = shifted - 12582912.0f;
    const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float power = 1.9875691500e-4f;
    power = power * r + 1.3981999507e-3f;
    power = power * r + 8.3334519073e-3f;
    power = power * r + 4.1665795894e-2f;
    power = power * r + 1.6666665459e-1f;
    power = power * r + 5.0000001201e-1f;
    power = power * r * r + r + 1.0f;
    union { float number; uint32_t bits; } whole = {.bits = ((uint32_t)(int32_t)n + 127) << 23};
    return power * whole.number;
}
