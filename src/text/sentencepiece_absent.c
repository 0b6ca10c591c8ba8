#include "text/sentencepiece.h"

/* A build without the library still has all its functions; a tokenizer never comes into being, so
 * that those which take one are never called. */
#if !REEL_SENTENCEPIECE
static reel_status refuse(reel_env *env, const char *what) {
    return reel_fail(env, REEL_E_UNSUPPORTED,
                     "%s: this reel was built without sentencepiece; install libsentencepiece-dev "
                     "and configure with -DREEL_SENTENCEPIECE=ON",
                     what);
}

reel_status reel_spm_new(reel_env *env, const void *model, int64_t bytes, const char *name,
                         reel_spm **spm) {
    (void)model, (void)bytes, (void)spm;
    return refuse(env, name);
}

void reel_spm_free(reel_spm **spm) {
    (void)spm;
}

int32_t reel_spm_size(const reel_spm *spm) {
    (void)spm;
    return 0;
}

int32_t reel_spm_pad(const reel_spm *spm) {
    (void)spm;
    return -1;
}

int32_t reel_spm_end(const reel_spm *spm) {
    (void)spm;
    return -1;
}

int32_t reel_spm_unknown(const reel_spm *spm) {
    (void)spm;
    return -1;
}

const char *reel_spm_piece(const reel_spm *spm, int32_t id) {
    (void)spm, (void)id;
    return "";
}

int32_t reel_spm_id(const reel_spm *spm, const char *piece) {
    (void)spm, (void)piece;
    return -1;
}

reel_status reel_spm_encode(reel_env *env, const reel_spm *spm, const char *text, int64_t bytes,
                            int32_t **id, int64_t *n) {
    (void)spm, (void)text, (void)bytes, (void)id, (void)n;
    return refuse(env, "encode");
}

reel_status reel_spm_decode(reel_env *env, const reel_spm *spm, const int32_t *id, int64_t n,
                            char **text, int64_t *bytes) {
    (void)spm, (void)id, (void)n, (void)text, (void)bytes;
    return refuse(env, "decode");
}

reel_status reel_spm_train(reel_env *env, const reel_vocabulary_options *options,
                           reel_line_source *next, void *context, char **model, int64_t *bytes) {
    (void)options, (void)next, (void)context, (void)model, (void)bytes;
    return refuse(env, "tokenizer training");
}
#endif
