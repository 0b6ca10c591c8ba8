/* A small autoencoder of each of Wan's generations with random weights, and what it takes to run
 * it, for the tests of its streams.
 */
#ifndef REEL_TESTS_VAE_RIG_H
#define REEL_TESTS_VAE_RIG_H

#include "cpu/cpu.h"
#include "models/wan/vae_stream.h"
#include "tape/plan.h"

/* The first generation makes 4 x 4 pixels of a latent, the second 8 x 8; both 4 frames. */
typedef enum vae_rig_kind {
    VAE_RIG_PLAIN,    /* the first generation */
    VAE_RIG_RESIDUAL, /* the second */
    VAE_RIG_LINEAR,   /* the second with a linear path */
    VAE_RIG_KINDS,
} vae_rig_kind;

enum { VAE_RIG_Z = 4 /* channels of latents */ };

typedef struct vae_rig {
    reel_env *env;
    reel_kernel_table *table;
    reel_params *params;
    reel_tape *tape;
    reel_plan *plan; /* the last one made, or NULL */
    reel_wan_vae_config config;
    reel_dtype compute;
    reel_wan_vae_stream *stream; /* the one that is open, or NULL */
} vae_rig;

/* isa REEL_ISA_COUNT: the reference kernels. Fails the test when it cannot be made. */
void vae_rig_open(vae_rig *rig, vae_rig_kind kind, reel_dtype compute, reel_isa isa, int threads);
void vae_rig_close(vae_rig *rig);

/* Fails the test with the message unless status is REEL_OK. */
void vae_rig_must(const vae_rig *rig, reel_status status);

/* Records a whole clip on the reset tape: pixels [1,F,H,W,3] to moments, or latents [1,f,h,w,z] to
 * pixels. */
reel_var vae_rig_record(vae_rig *rig, bool decode, reel_shape shape, const float *x);

/* Opening an encoder or a decoder with the options fails with REEL_E_ARG and says part. */
void vae_rig_expect_refused(vae_rig *rig, bool encode, const reel_wan_vae_stream_options *options,
                            const char *part);

#endif
