/* Names of weights: from those of Wan's own repository to diffusers' and transformers'.
 *
 * The maps are tables of patterns, one row a renamed module; they are those of diffusers'
 * conversion scripts, held against the golden key maps. Names of both styles never collide, so a
 * file need not say which style it is in.
 */
#ifndef REEL_ZOO_KEYS_H
#define REEL_ZOO_KEYS_H

#include "zoo/config.h"

enum { REEL_KEY_BYTES = 512 };

/* The name reel, diffusers and transformers know a stored tensor by: name itself, or its
 * translation in text. Borrowed from name or text. */
const char *reel_key_canonical(const reel_component_config *config, const char *name,
                               char text[REEL_KEY_BYTES]);

/* True for a tensor that files may hold beside the model's own: copies of tied weights, and what
 * the reference implementation itself ignores. */
bool reel_key_ignored(const reel_component_config *config, const char *name);

#endif
