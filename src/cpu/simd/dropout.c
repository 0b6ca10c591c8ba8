/* dropout: Philox4x32-10 over vectors, 16 blocks (64 coins) at a time. */
#include "ops/dropout.h"

#include "cpu/simd/vec.h"

enum { CHUNK = 1 << 14, GROUP = 64, BLOCKS = 16 };

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

VEC_INLINE vu vu_set(uint32_t x) {
    return (vu){0} + x;
}

/* Both halves of the 64-bit products a * m. */
VEC_INLINE void multiply(vu a, uint32_t m, vu *high, vu *low) {
#if REEL_ISA_LEVEL >= 2
    const __m512i x = (__m512i)a, factor = _mm512_set1_epi64((int64_t)m);
    const __m512i even = _mm512_mul_epu32(x, factor);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), factor);
    *low = (vu)_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
    *high = (vu)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
#elif REEL_ISA_LEVEL == 1
    const __m256i x = (__m256i)a, factor = _mm256_set1_epi64x((int64_t)m);
    const __m256i even = _mm256_mul_epu32(x, factor);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), factor);
    *low = (vu)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    *high = (vu)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
    for (int i = 0; i < VF_N; i++) {
        const uint64_t product = (uint64_t)a[i] * m;
        (*high)[i] = (uint32_t)(product >> 32);
        (*low)[i] = (uint32_t)product;
    }
#endif
}

/* word[16 j + b] = word j of block first + b; constants and rounds as in base/rng.c. */
VEC_INLINE void toss(uint64_t key, uint64_t stream, uint64_t first, uint32_t word[GROUP]) {
    for (int b = 0; b < BLOCKS; b += VF_N) {
        vu c0, c1 = vu_set((uint32_t)(first >> 32)), c2 = vu_set((uint32_t)stream),
               c3 = vu_set((uint32_t)(stream >> 32));
        for (int i = 0; i < VF_N; i++)
            c0[i] = (uint32_t)first + (uint32_t)(b + i);
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        for (int round = 0; round < 10; round++) {
            vu high0, low0, high1, low1;
            multiply(c0, 0xd2511f53u, &high0, &low0);
            multiply(c2, 0xcd9e8d57u, &high1, &low1);
            c0 = high1 ^ c1 ^ k0;
            c1 = low1;
            c2 = high0 ^ c3 ^ k1;
            c3 = low0;
            k0 += 0x9e3779b9u;
            k1 += 0xbb67ae85u;
        }
        const vu words[4] = {c0, c1, c2, c3};
        for (int j = 0; j < 4; j++)
            memcpy(word + BLOCKS * j + b, &words[j], sizeof words[j]);
    }
}

VEC_INLINE void drop(const reel_call *c, const reel_dropout_coins *coins, int64_t from, int64_t to,
                     bool x_bf16, bool y_bf16) {
    const reel_dropout_attr *attr = c->attr;
    const vu threshold = vu_set(coins->threshold);
    for (int64_t e = from; e < to; e += GROUP) {
        uint32_t word[GROUP];
        toss(coins->key, attr->stream, (uint64_t)(e / GROUP * BLOCKS), word);
        const int64_t n = least(GROUP, to - e);
        for (int64_t i = 0; i < n; i += VF_N) {
            const int part = (int)least(VF_N, n - i);
            vu w;
            memcpy(&w, word + i, sizeof w);
            const vf x = vec_load_part(c->in[0].data, e + i, x_bf16, part);
            const vf y = vf_select((vi)(w >= threshold), x * coins->factor, (vf){0});
            vec_store_part(c->out[0].data, e + i, y_bf16, y, part);
        }
    }
}

typedef struct work {
    const reel_call *c;
    reel_dropout_coins coins;
} work;

static void dropout_task(void *context, int64_t index, int lane) {
    (void)lane;
    const work *k = context;
    const reel_call *c = k->c;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->in[0]));
    const bool x = c->in[0].dtype == REEL_BF16, y = c->out[0].dtype == REEL_BF16;
    if (x && y)
        drop(c, &k->coins, from, to, true, true);
    else if (!x && !y)
        drop(c, &k->coins, from, to, false, false);
    else
        drop(c, &k->coins, from, to, x, y);
}

static void dropout_run(const reel_call *c) {
    work k = {c, reel_dropout_coins_of(c->attr, c->in[1].data)};
    reel_parallel_for(c->threads, (reel_tensor_count(&c->in[0]) + CHUNK - 1) / CHUNK, dropout_task,
                      &k);
}

static const char *refuse_f16(const reel_call *c) {
    if (c->in[0].dtype == REEL_F16) return "x is f16";
    return c->out[0].dtype == REEL_F16 ? "y is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_dropout)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_dropout)(reel_kernel_table *table) {
    static const reel_kernel dropout = {
        .name = "dropout." REEL_ISA_TEXT, .refuse = refuse_f16, .run = dropout_run};
    reel_kernel_table_add(table, &reel_op_dropout, &dropout);
}
