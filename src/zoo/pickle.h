/* Pickles: weight files of PyTorch that are programs. They are recognised and refused. */
#ifndef REEL_ZOO_PICKLE_H
#define REEL_ZOO_PICKLE_H

#include <stdbool.h>

#include "base/env.h"

/* By the name: .bin, .pt, .pth, .ckpt, .pkl, also as the index of shards (.bin.index.json). */
bool reel_is_pickle(const char *path);

/* Fails with REEL_E_UNSUPPORTED, saying why and what to do instead. */
reel_status reel_pickle_refuse(reel_env *env, const char *path);

#endif
