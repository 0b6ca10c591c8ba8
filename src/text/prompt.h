/* Prompt cleaning, as Wan's pipeline does it before tokenizing.
 *
 * The reference is prompt_clean of diffusers' WanPipeline: ftfy.fix_text, html.unescape twice,
 * whitespace collapsed and stripped. Done here: malformed UTF-8 becomes U+FFFD; mojibake of UTF-8
 * read as Latin-1 or Windows-1252 is repaired (text/mojibake.h says which); HTML references are
 * resolved (text/entities.h says which names); curly quotes become straight, ligatures and
 * full-width Latin become plain; terminal escapes and control characters go; every run of Unicode
 * whitespace becomes one space. Not done: Unicode normal form C and half-width katakana, because
 * the tokenizers of T5 and UMT5 normalise (NFKC) what they are given, so that the ids are the same.
 */
#ifndef REEL_TEXT_PROMPT_H
#define REEL_TEXT_PROMPT_H

#include <stdint.h>

#include "base/env.h"

/* *clean becomes sound UTF-8 without a line break, 0-terminated, its length in *clean_bytes (may be
 * NULL); the caller frees it with reel_free. text: any bytes (NULL when there are none), at most
 * 1 MiB or REEL_E_ARG. */
REEL_MUST_USE reel_status reel_prompt_clean(reel_env *env, const char *text, int64_t bytes,
                                            char **clean, int64_t *clean_bytes);

#endif
