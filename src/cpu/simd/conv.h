/* What the convolution kernels share: the product a convolution is, and the slab it reads.
 *
 * A convolution is a product without the matrix of patches. Input frames are copied into a slab,
 * channels last and with their zeros around them; the channels under one row of the kernel, Kw Cp
 * of them, then lie side by side in memory, so that an output is a sum over a few such runs and
 * the product's inner loop never sees a border, a stride, a layout or a frame cache. The gradient
 * by x is the same product with dy in the slab and the kernel turned around.
 *
 * Letters: Cp channels of the slab (C, even for bf16), N outputs in a block.
 */
#ifndef REEL_CPU_SIMD_CONV_H
#define REEL_CPU_SIMD_CONV_H

#include "cpu/simd/vec.h"
#include "ops/conv3d.h"

enum {
    CONV_N = 2 * VF_N,                        /* outputs in a block: two vectors or two tiles */
    CONV_ROWS = REEL_ISA_LEVEL >= 2 ? 12 : 6, /* pixels of a register block: 24 or 12 sums */
    CONV_RUNS = 64,                           /* most runs an output sums over */
    CONV_TILE = 16,                           /* rows of a tile */
    CONV_DEPTH = 32,                          /* bf16 elements a tile sums over */
};

/* Calls X(1) .. X(CONV_ROWS): the register blocks there are, each compiled for its own count. */
#if REEL_ISA_LEVEL >= 2
#define CONV_EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define CONV_EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

typedef enum conv_kind {
    CONV_F32,   /* f32 slab and weights, FMA */
    CONV_BF16,  /* pairs of bf16, dot products */
    CONV_TILES, /* bf16 tiles */
} conv_kind;

/* Frames in memory: x, y, a cache or a gradient of one. */
typedef struct conv_grid {
    void *data;
    bool bf16;
    reel_grid_stride at;
} conv_grid;

typedef struct conv_job {
    const reel_call *call;
    const reel_conv3d_attr *attr;
    reel_conv3d_size n;
    conv_kind kind;
    bool gradient; /* by x: the kernel is turned around, and its inputs are its outputs */

    int64_t B, C, O; /* channels summed over, and made */
    int64_t kernel[3];
    conv_grid source[2], dest[2]; /* frames of [0] stand before those of [1] */
    int64_t n_source[2], n_dest[2];
    /* Positions of the slab: rows and columns, axes h and w. */
    int64_t in[2], pad[2], dilate[2]; /* input i lies at position pad + i dilate */
    int64_t out[2], step[2];          /* output i starts at position i step */

    int64_t Cp, width, pitch; /* slab: channels, positions in a row, elements in a row */
    int64_t run, run_padded;  /* elements of a run; of its packed weights */
    int64_t n_blocks;         /* of outputs */
    int64_t frames, rows;     /* outputs a slab is for */
    int64_t slab_frames, slab_rows;
    int64_t fan; /* outputs made for every kernel position and summed afterwards, or 0 */

    int64_t piece_rows, group_blocks; /* of a piece of the product */

    /* The parts of the scratch; the slab's tail stays zero. */
    char *packed, *slab, *lane;
    float *bias;
    int64_t tail, tail_bytes, lane_bytes; /* tail in elements */
} conv_job;

/* The runs one output frame sums over, or those from `first` on up to n: where they start in the
 * slab, and in a block's weights. */
typedef struct conv_walk {
    int first, n;
    int64_t a[CONV_RUNS], b[CONV_RUNS]; /* in elements */
} conv_walk;

static inline int64_t conv_round_up(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}
static inline int64_t conv_least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t conv_element_bytes(conv_kind kind) {
    return kind == CONV_F32 ? 4 : 2;
}
static inline conv_grid conv_grid_of(const reel_tensor *t, int32_t layout, int64_t C,
                                     const int64_t size[3]) {
    return (conv_grid){.data = t->data,
                       .bf16 = t->dtype == REEL_BF16,
                       .at = reel_grid_stride_of((reel_grid_layout)layout, C, size)};
}

#if REEL_ISA_LEVEL >= 2
/* Sixteen rows of sixteen 32-bit elements, rows and columns exchanged. */
VEC_INLINE void conv_transpose(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int k = 0; k < 2; k++) {
            r[i + 2 * k] = _mm512_unpacklo_epi64(t[i + k], t[i + k + 2]);
            r[i + 2 * k + 1] = _mm512_unpackhi_epi64(t[i + k], t[i + k + 2]);
        }
    /* r[4 q + m]: columns m, m + 4, m + 8, m + 12 of rows 4 q .. 4 q + 3, a quarter each */
    for (int m = 0; m < 4; m++) {
        t[m] = _mm512_shuffle_i32x4(r[m], r[4 + m], 0x88);
        t[4 + m] = _mm512_shuffle_i32x4(r[m], r[4 + m], 0xdd);
        t[8 + m] = _mm512_shuffle_i32x4(r[8 + m], r[12 + m], 0x88);
        t[12 + m] = _mm512_shuffle_i32x4(r[8 + m], r[12 + m], 0xdd);
    }
    for (int m = 0; m < 4; m++) {
        r[m] = _mm512_shuffle_i32x4(t[m], t[8 + m], 0x88);
        r[8 + m] = _mm512_shuffle_i32x4(t[m], t[8 + m], 0xdd);
        r[4 + m] = _mm512_shuffle_i32x4(t[4 + m], t[12 + m], 0x88);
        r[12 + m] = _mm512_shuffle_i32x4(t[4 + m], t[12 + m], 0xdd);
    }
}
#endif

/* ---- conv_slab.c ---- */

#define conv_gather_row REEL_ISA_NAME(reel_conv_gather_row)
#define conv_pack_weights REEL_ISA_NAME(reel_conv_pack_weights)
#define conv_store_row REEL_ISA_NAME(reel_conv_store_row)

/* One row of the slab: input row `in` (negative: none) of frame `frame` of grid into to
 * [width][Cp], zeros around and between. */
void conv_gather_row(const conv_job *j, const conv_grid *grid, int64_t b, int64_t frame, int64_t in,
                     void *to);

/* The weights of block `block` for kernel frame kt: [Kh][run_padded][CONV_N]; in pairs for bf16,
 * in tiles [run_padded / 32][2][16][16][2] for tiles. */
void conv_pack_weights(const conv_job *j, int64_t block, int64_t kt);

/* c [n_pixels][CONV_N] plus bias, outputs [o, o + n_o), to row h of a frame of grid. */
void conv_store_row(const conv_job *j, const conv_grid *grid, const int64_t bfh[3], int64_t o,
                    const float *c);

/* ---- conv_tile.c ---- */

#define conv_block REEL_ISA_NAME(reel_conv_block)
#define conv_tiles REEL_ISA_NAME(reel_conv_tiles)
#define conv_tiles_begin REEL_ISA_NAME(reel_conv_tiles_begin)
#define conv_tiles_end REEL_ISA_NAME(reel_conv_tiles_end)

/* c [rows][CONV_N] = sums over the runs of rows pixels that lie `step` elements apart in a; c goes
 * on growing where the walk's first run is not run 0. vectors: 1 or 2, of the block. */
void conv_block(const conv_job *j, const conv_walk *walk, const char *a, const char *b, int rows,
                int vectors, float *c);

/* Configures the tiles of this thread, and gives them back. */
void conv_tiles_begin(void);
void conv_tiles_end(void);

/* The same for 16 pixels at a0 and 16 at a1 on tiles, configured by conv_tiles_begin. c: rows of
 * pixels CONV_N apart, of which all 16 are written. rest: 32 x 64 bytes of the lane's own. */
void conv_tiles(const conv_job *j, const conv_walk *walk, const char *const a[2], const char *b,
                float *const c[2], char *rest);

#endif
