/* The tokenizer of T5 and UMT5: text to ids, by a unigram model of sentencepiece (spiece.model).
 *
 * Ids equal those of `spm_encode --output_format=id` for any bytes, malformed UTF-8 included. What
 * a text encoder wants is added here: the end piece, and a limit that says how much it cut. A model
 * file is checked before the library sees it, because the library trusts what it reads. Built
 * without sentencepiece every opening and training fails with REEL_E_UNSUPPORTED.
 */
#ifndef REEL_TEXT_TOKENIZER_H
#define REEL_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"

typedef struct reel_tokenizer reel_tokenizer;

enum { REEL_MAX_TOKENS = 512 }; /* what Wan gives its text encoder */

/* Opens a spiece.model, or the one in a folder. REEL_E_IO, or REEL_E_FORMAT with what is wrong with
 * the model; a folder that holds only a tokenizer.json is REEL_E_UNSUPPORTED and told what it
 * needs. The caller closes *tokenizer. */
REEL_MUST_USE reel_status reel_tokenizer_open(reel_env *env, const char *path,
                                              reel_tokenizer **tokenizer);
/* The same from the bytes of a model, which are not needed afterwards. name is for messages. */
REEL_MUST_USE reel_status reel_tokenizer_parse(reel_env *env, const void *model, int64_t bytes,
                                               const char *name, reel_tokenizer **tokenizer);
/* NULL-safe. */
void reel_tokenizer_close(reel_tokenizer **tokenizer);

/* ---- the vocabulary ---- */

/* Pieces: ids are in [0, size). */
int32_t reel_tokenizer_size(const reel_tokenizer *tokenizer);
/* The ids of padding (0 where the model names none, as T5 has it), of the end, and of what the
 * vocabulary does not hold. */
int32_t reel_tokenizer_pad(const reel_tokenizer *tokenizer);
int32_t reel_tokenizer_end(const reel_tokenizer *tokenizer);
int32_t reel_tokenizer_unknown(const reel_tokenizer *tokenizer);
/* The piece of an id, UTF-8, a leading U+2581 standing for a space; NULL outside [0, size).
 * Borrowed. */
const char *reel_tokenizer_piece(const reel_tokenizer *tokenizer, int32_t id);
/* The id of a piece, or -1. */
int32_t reel_tokenizer_id(const reel_tokenizer *tokenizer, const char *piece);

/* ---- encoding; any thread ---- */

typedef struct reel_encode_options {
    int64_t max_tokens; /* of the result, the end included; >= 1, or 0: no limit */
    bool add_end;       /* put the end piece last, as T5 does, however much is cut */
} reel_encode_options;

/* At most REEL_MAX_TOKENS, with the end. */
reel_encode_options reel_encode_options_default(void);

typedef struct reel_tokens {
    int32_t *id;   /* [n], not padded; NULL when n is 0 */
    int64_t n;     /* the end included */
    int64_t n_cut; /* pieces of the text that did not fit */
} reel_tokens;

/* Ids of bytes of text (0 bytes among them allowed; text may be NULL when there are none). options
 * NULL: the default. The caller gives *tokens back with reel_tokens_deinit. REEL_E_ARG for a
 * negative limit or more than 2^30 bytes, REEL_E_NOMEM. */
REEL_MUST_USE reel_status reel_tokenizer_encode(const reel_tokenizer *tokenizer, const char *text,
                                                int64_t bytes, const reel_encode_options *options,
                                                reel_tokens *tokens);
/* Safe on a zeroed struct; zeroes it. */
void reel_tokens_deinit(reel_env *env, reel_tokens *tokens);

/* The text of n ids, 0-terminated, its length in *bytes (may be NULL); padding and the end become
 * nothing. The caller frees *text with reel_free. REEL_E_ARG for an id outside [0, size). */
REEL_MUST_USE reel_status reel_tokenizer_decode(const reel_tokenizer *tokenizer, const int32_t *id,
                                                int64_t n, char **text, int64_t *bytes);

/* ---- training ---- */

/* The next line of a corpus, or NULL at its end; its length goes to *bytes. Borrowed until the next
 * call. */
typedef const char *reel_line_source(void *context, int64_t *bytes);

typedef struct reel_vocabulary_options {
    int32_t size;      /* pieces wanted, the 259 that are always there included; [300, 1000000] */
    double coverage;   /* share of all characters that get pieces; the rest is spelt in bytes */
    int64_t max_lines; /* usable lines taken of the corpus, the first ones; 0: all */
    bool as_given;     /* lines reach the trainer as they are; false: prepared for a small corpus */
} reel_vocabulary_options;

/* 4000 pieces, all but 0.05% of the characters, all lines. */
reel_vocabulary_options reel_vocabulary_options_default(void);

/* Trains a unigram vocabulary (Kudo 2018, arXiv:1804.10959) as T5's are: NFKC, padding 0, end 1,
 * unknown 2, bytes for what has no piece (so nothing is unknown), and writes it to path. The same
 * corpus gives the same bytes. Unless as_given, each Han character is a piece of its own, as in
 * BERT's vocabularies, and each frequent word is one: Chinese has no spaces that keep a piece
 * within a word, so a small corpus would make whole phrases single pieces, and what a model learns
 * of one says nothing of the words in it. A small corpus may yield fewer pieces than asked for;
 * *size (may be NULL) says how many. Lines that are empty, longer than 4192 bytes or not UTF-8 are
 * passed over, as are those with 0 bytes. REEL_E_ARG when the corpus has no usable line or more
 * characters than pieces, REEL_E_IO. */
REEL_MUST_USE reel_status reel_tokenizer_train(reel_env *env, const char *path,
                                               const reel_vocabulary_options *options,
                                               reel_line_source *next, void *context,
                                               int32_t *size);

#endif
