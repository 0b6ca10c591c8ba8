/* The trained autoencoder's encoder, as the latents of data/latents.h want it. */
#ifndef REEL_TRAIN_ENCODER_H
#define REEL_TRAIN_ENCODER_H

#include "data/latents.h"
#include "models/wan/vae.h"
#include "ops/ops.h"
#include "zoo/component.h"

typedef struct reel_clip_encoder reel_clip_encoder;

/* Opens folder/vae. table is borrowed. The caller closes *encoder. */
REEL_MUST_USE reel_status reel_clip_encoder_open(reel_env *env, const reel_kernel_table *table,
                                                 const char *folder, reel_dtype compute,
                                                 reel_clip_encoder **encoder);
void reel_clip_encoder_close(reel_clip_encoder **encoder);

const reel_wan_vae_config *reel_clip_encoder_config(const reel_clip_encoder *encoder);
/* A hash of weights and configuration, as 16 hexadecimal digits. */
const char *reel_clip_encoder_key(const reel_clip_encoder *encoder);
/* The autoencoder itself, its weights as they are stored. Borrowed. */
const reel_component *reel_clip_encoder_component(const reel_clip_encoder *encoder);
/* The encoder as latents take it; borrows. */
reel_latents_encoder reel_clip_encoder_latents(reel_clip_encoder *encoder);

#endif
