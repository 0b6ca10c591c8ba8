/* Gated linear units: y = f(gate) * value (Shazeer 2020, "GLU variants improve transformer").
 *
 * T5's gated gelu takes gate and value from two linears; diffusers' GEGLU and SwiGLU blocks take
 * both from one of twice the width, and disagree about which half is the gate.
 */
#ifndef REEL_OPS_GLU_H
#define REEL_OPS_GLU_H

#include "ops/activation.h"
#include "ops/ops.h"

/* Where the gate is when one tensor holds both. */
typedef enum reel_glu_halves {
    REEL_GLU_APART,      /* two operands */
    REEL_GLU_GATE_FIRST, /* x [...,2C]: gate x[...,:C], value x[...,C:] */
    REEL_GLU_GATE_LAST,  /* value x[...,:C], gate x[...,C:] (diffusers' GEGLU) */
} reel_glu_halves;

/* attr of glu and glu_backward. */
typedef struct reel_glu_attr {
    int32_t act;          /* reel_activation */
    int32_t halves;       /* reel_glu_halves */
    int32_t out_dtype[2]; /* glu_backward: of dgate and dvalue; of dx */
} reel_glu_attr;

/* gate [...] value [...] of one shape -> f(gate) value [...]; f32 if either is f32, else their
 * dtype. */
reel_var reel_glu(reel_tape *tape, reel_var gate, reel_var value, reel_activation f);
/* x [...,2C] -> [...,C] of x's dtype. */
reel_var reel_glu_split(reel_tape *tape, reel_var x, reel_activation f, reel_glu_halves halves);

#endif
