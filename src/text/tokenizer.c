#include "text/tokenizer.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "text/sentencepiece.h"
#include "text/spm_check.h"
#include "text/unicode.h"

struct reel_tokenizer {
    reel_env *env;
    reel_spm *spm;
    int32_t size, pad, end, unknown;
};

static const char tag_text[] = "text";
enum { MAX_PATH_BYTES = 4096, MAX_TEXT_BYTES = 1 << 30 };

/* ---- opening ---- */

static reel_status take_model(reel_env *env, const void *model, int64_t bytes, const char *name,
                              reel_tokenizer *made) {
    reel_status status = reel_spm_check(env, model, bytes, name);
    if (status == REEL_OK) status = reel_spm_new(env, model, bytes, name, &made->spm);
    if (status != REEL_OK) return status;
    const int32_t pad = reel_spm_pad(made->spm);
    made->size = reel_spm_size(made->spm);
    made->pad = pad < 0 ? 0 : pad;
    made->end = reel_spm_end(made->spm);
    made->unknown = reel_spm_unknown(made->spm);
    if (made->end < 0 || made->end >= made->size)
        return reel_fail(env, REEL_E_FORMAT, "%s: wanted an end piece, the model defines none",
                         name);
    return REEL_OK;
}

reel_status reel_tokenizer_parse(reel_env *env, const void *model, int64_t bytes, const char *name,
                                 reel_tokenizer **tokenizer) {
    reel_tokenizer *made = reel_calloc(env, 1, sizeof *made, tag_text);
    if (!made) return REEL_E_NOMEM;
    made->env = env;
    const reel_status status = take_model(env, model, bytes, name, made);
    if (status == REEL_OK)
        *tokenizer = made;
    else
        reel_tokenizer_close(&made);
    return status;
}

static bool is_folder(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static bool is_file(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* The model of a folder; says what is there instead when there is none. */
static reel_status find_model(reel_env *env, const char *folder, char path[MAX_PATH_BYTES]) {
    static const char *const other[] = {"tokenizer.json", "vocab.json", "tokenizer.model"};
    if (snprintf(path, MAX_PATH_BYTES, "%s/spiece.model", folder) >= MAX_PATH_BYTES)
        return reel_fail(env, REEL_E_ARG, "%s: the path is too long", folder);
    if (is_file(path)) return REEL_OK;
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        char found[MAX_PATH_BYTES];
        snprintf(found, sizeof found, "%s/%s", folder, other[i]);
        if (is_file(found))
            return reel_fail(env, REEL_E_UNSUPPORTED,
                             "%s: it has a %s, but reel reads spiece.model, the sentencepiece "
                             "model it was made from; put that file of the same model beside it",
                             folder, other[i]);
    }
    return reel_fail(env, REEL_E_IO,
                     "%s: wanted spiece.model in the tokenizer's folder, found none", folder);
}

reel_status reel_tokenizer_open(reel_env *env, const char *path, reel_tokenizer **tokenizer) {
    char found[MAX_PATH_BYTES];
    if (is_folder(path)) {
        const reel_status status = find_model(env, path, found);
        if (status != REEL_OK) return status;
        path = found;
    }
    reel_map map = {0};
    reel_status status = reel_map_open(env, path, &map);
    if (status == REEL_OK) status = reel_tokenizer_parse(env, map.data, map.bytes, path, tokenizer);
    reel_map_close(&map);
    return status;
}

void reel_tokenizer_close(reel_tokenizer **tokenizer) {
    if (!tokenizer || !*tokenizer) return;
    reel_env *env = (*tokenizer)->env;
    reel_spm_free(&(*tokenizer)->spm);
    reel_free(env, *tokenizer);
    *tokenizer = NULL;
}

/* ---- the vocabulary ---- */

int32_t reel_tokenizer_size(const reel_tokenizer *tokenizer) {
    return tokenizer->size;
}
int32_t reel_tokenizer_pad(const reel_tokenizer *tokenizer) {
    return tokenizer->pad;
}
int32_t reel_tokenizer_end(const reel_tokenizer *tokenizer) {
    return tokenizer->end;
}
int32_t reel_tokenizer_unknown(const reel_tokenizer *tokenizer) {
    return tokenizer->unknown;
}

const char *reel_tokenizer_piece(const reel_tokenizer *tokenizer, int32_t id) {
    return id < 0 || id >= tokenizer->size ? NULL : reel_spm_piece(tokenizer->spm, id);
}

int32_t reel_tokenizer_id(const reel_tokenizer *tokenizer, const char *piece) {
    const int32_t id = reel_spm_id(tokenizer->spm, piece);
    const char *found = reel_tokenizer_piece(tokenizer, id);
    return found && strcmp(found, piece) == 0 ? id : -1;
}

/* ---- encoding ---- */

reel_encode_options reel_encode_options_default(void) {
    return (reel_encode_options){.max_tokens = REEL_MAX_TOKENS, .add_end = true};
}

reel_status reel_tokenizer_encode(const reel_tokenizer *tokenizer, const char *text, int64_t bytes,
                                  const reel_encode_options *options, reel_tokens *tokens) {
    const reel_encode_options used = options ? *options : reel_encode_options_default();
    if (used.max_tokens < 0)
        return reel_fail(tokenizer->env, REEL_E_ARG, "max_tokens is %lld, wanted at least 0",
                         (long long)used.max_tokens);
    if (bytes < 0 || bytes > MAX_TEXT_BYTES)
        return reel_fail(tokenizer->env, REEL_E_ARG, "a text of %lld bytes, wanted 0 to %d",
                         (long long)bytes, MAX_TEXT_BYTES);
    reel_tokens made = {0};
    const reel_status status =
        reel_spm_encode(tokenizer->env, tokenizer->spm, text ? text : "", bytes, &made.id, &made.n);
    if (status != REEL_OK) return status;
    const int64_t n_end = used.add_end ? 1 : 0;
    if (used.max_tokens > 0 && made.n > used.max_tokens - n_end) {
        made.n_cut = made.n - (used.max_tokens - n_end);
        made.n = used.max_tokens - n_end;
    }
    if (used.add_end) made.id[made.n++] = tokenizer->end; /* the encoder leaves room for one */
    if (made.n == 0) {
        reel_free(tokenizer->env, made.id);
        made.id = NULL;
    }
    *tokens = made;
    return REEL_OK;
}

void reel_tokens_deinit(reel_env *env, reel_tokens *tokens) {
    reel_free(env, tokens->id);
    *tokens = (reel_tokens){0};
}

reel_status reel_tokenizer_decode(const reel_tokenizer *tokenizer, const int32_t *id, int64_t n,
                                  char **text, int64_t *bytes) {
    for (int64_t i = 0; i < n; i++)
        if (id[i] < 0 || id[i] >= tokenizer->size)
            return reel_fail(tokenizer->env, REEL_E_ARG, "id %lld is %d, wanted one in [0,%d)",
                             (long long)i, id[i], tokenizer->size);
    int64_t length = 0;
    const reel_status status =
        reel_spm_decode(tokenizer->env, tokenizer->spm, id, n, text, &length);
    if (status == REEL_OK && bytes) *bytes = length;
    return status;
}

/* ---- training ---- */

enum { MIN_VOCABULARY = 300, MAX_VOCABULARY = 1000000, MAX_LINE_BYTES = 4192 };

reel_vocabulary_options reel_vocabulary_options_default(void) {
    return (reel_vocabulary_options){.size = 4000, .coverage = 0.9995};
}

/* The usable lines of a corpus: the trainer's own complaints about the others go to stderr. */
typedef struct usable_lines {
    reel_line_source *next;
    void *context;
    int64_t max_lines;
    int64_t n;
    bool as_given;
    int64_t n_words;
    char marked[4 * MAX_LINE_BYTES];
} usable_lines;

/* Ends a piece: pieces stay within one script, and the ideographic comma is of none. */
enum { MARK = 0x3001 };

static bool is_letter(uint32_t code) {
    if (code < 0xc0) return (code | 32) >= 'a' && (code | 32) <= 'z';
    return (code < 0x2000 || code >= 0x3040) && code < 0xff00 && !reel_is_han(code);
}

/* The line with marks where pieces shall end: between Han characters and after every other
 * word. The trainer takes as candidates what occurs in two different words of the corpus; a word
 * that nothing but spaces ever follows would be in one, and come out in shreds. */
static const char *marked_line(usable_lines *lines, const char *text, int64_t *bytes) {
    uint32_t last = ' ';
    int64_t n = 0;
    int used = 0;
    for (int64_t i = 0; i < *bytes; i += used) {
        const uint32_t code = reel_utf8_get(text + i, *bytes - i, &used, NULL);
        const bool word_ends = code == ' ' && is_letter(last) && lines->n_words++ % 2 == 0;
        if (word_ends || (reel_is_han(code) && (last == ' ' || reel_is_han(last))))
            n += reel_utf8_put(MARK, lines->marked + n);
        memcpy(lines->marked + n, text + i, (size_t)used);
        n += used;
        last = code;
    }
    *bytes = n;
    return lines->marked;
}

static const char *next_usable(void *context, int64_t *bytes) {
    usable_lines *lines = context;
    if (lines->max_lines > 0 && lines->n == lines->max_lines) return NULL;
    const char *text = lines->next(lines->context, bytes);
    while (text && (*bytes < 1 || *bytes > MAX_LINE_BYTES || memchr(text, 0, (size_t)*bytes) ||
                    !reel_utf8_sound(text, *bytes)))
        text = lines->next(lines->context, bytes);
    lines->n += text != NULL;
    return text && !lines->as_given ? marked_line(lines, text, bytes) : text;
}

reel_status reel_tokenizer_train(reel_env *env, const char *path,
                                 const reel_vocabulary_options *options, reel_line_source *next,
                                 void *context, int32_t *size) {
    const reel_vocabulary_options used = options ? *options : reel_vocabulary_options_default();
    if (used.size < MIN_VOCABULARY || used.size > MAX_VOCABULARY)
        return reel_fail(env, REEL_E_ARG, "a vocabulary of %d pieces, wanted %d to %d", used.size,
                         MIN_VOCABULARY, MAX_VOCABULARY);
    if (!(used.coverage >= 0.98 && used.coverage <= 1))
        return reel_fail(env, REEL_E_ARG, "a coverage of %g, wanted 0.98 to 1", used.coverage);
    usable_lines lines = {.next = next, .context = context, .max_lines = used.max_lines};
    lines.as_given = used.as_given;
    char *model = NULL;
    int64_t bytes = 0;
    reel_tokenizer *made = NULL;
    reel_status status = reel_spm_train(env, &used, next_usable, &lines, &model, &bytes);
    /* What was written must open again. */
    if (status == REEL_OK) status = reel_tokenizer_parse(env, model, bytes, path, &made);
    if (status == REEL_OK) status = reel_file_write(env, path, model, bytes);
    if (status == REEL_OK && size) *size = reel_tokenizer_size(made);
    reel_tokenizer_close(&made);
    reel_free(env, model);
    return status;
}
