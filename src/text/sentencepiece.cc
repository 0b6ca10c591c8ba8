#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstring>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

extern "C" {
#include "text/sentencepiece.h"
}

#if REEL_SENTENCEPIECE
struct reel_spm {
    sentencepiece::SentencePieceProcessor processor;
};

namespace {

const char tag_text[] = "text";

/* What the library says goes into a message, without the place in its own source that it puts in
 * front: "src/trainer.cc(12) [condition] reason". */
reel_status fail_with(reel_env *env, reel_status status, const char *name,
                      const sentencepiece::util::Status &said) {
    const std::string text = said.message();
    const size_t bracket = text.find("] ");
    const bool placed = text.find(".cc(") != std::string::npos && bracket != std::string::npos;
    const std::string reason = placed ? text.substr(bracket + 2) : text;
    return reel_fail(env, status, "%s: %s", name,
                     reason.empty() ? "refused by sentencepiece" : reason.c_str());
}

/* Runs body, which returns a status; whatever it throws becomes one too. */
template <typename Body> reel_status guarded(reel_env *env, const char *name, Body body) {
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return reel_fail(env, REEL_E_NOMEM, "%s: no memory in sentencepiece", name);
    } catch (const std::exception &e) {
        return reel_fail(env, REEL_E_FORMAT, "%s: %s", name, e.what());
    } catch (...) {
        return reel_fail(env, REEL_E_FORMAT, "%s: sentencepiece failed without a reason", name);
    }
}

class Lines : public sentencepiece::SentenceIterator {
  public:
    Lines(reel_line_source *next, void *context) : next_(next), context_(context) { Next(); }
    bool done() const override { return done_; }
    void Next() override {
        int64_t bytes = 0;
        const char *text = next_(context_, &bytes);
        done_ = text == nullptr;
        if (!done_) value_.assign(text, static_cast<size_t>(bytes));
    }
    const std::string &value() const override { return value_; }
    sentencepiece::util::Status status() const override { return sentencepiece::util::Status(); }

  private:
    reel_line_source *next_;
    void *context_;
    std::string value_;
    bool done_ = false;
};

} // namespace

reel_status reel_spm_new(reel_env *env, const void *model, int64_t bytes, const char *name,
                         reel_spm **spm) {
    reel_spm *made = new (std::nothrow) reel_spm;
    if (!made) return reel_fail(env, REEL_E_NOMEM, "%s: no memory for the tokenizer", name);
    const reel_status status = guarded(env, name, [&] {
        const auto said = made->processor.LoadFromSerializedProto(
            absl::string_view(static_cast<const char *>(model), static_cast<size_t>(bytes)));
        return said.ok() ? REEL_OK : fail_with(env, REEL_E_FORMAT, name, said);
    });
    if (status != REEL_OK)
        delete made;
    else
        *spm = made;
    return status;
}

void reel_spm_free(reel_spm **spm) {
    if (!spm) return;
    delete *spm;
    *spm = nullptr;
}

int32_t reel_spm_size(const reel_spm *spm) {
    return spm->processor.GetPieceSize();
}
int32_t reel_spm_pad(const reel_spm *spm) {
    return spm->processor.pad_id();
}
int32_t reel_spm_end(const reel_spm *spm) {
    return spm->processor.eos_id();
}
int32_t reel_spm_unknown(const reel_spm *spm) {
    return spm->processor.unk_id();
}

const char *reel_spm_piece(const reel_spm *spm, int32_t id) {
    return spm->processor.IdToPiece(id).c_str();
}

int32_t reel_spm_id(const reel_spm *spm, const char *piece) {
    try {
        return spm->processor.PieceToId(piece);
    } catch (...) {
        return spm->processor.unk_id();
    }
}

reel_status reel_spm_encode(reel_env *env, const reel_spm *spm, const char *text, int64_t bytes,
                            int32_t **id, int64_t *n) {
    return guarded(env, "encode", [&] {
        std::vector<int> found;
        const auto said =
            spm->processor.Encode(absl::string_view(text, static_cast<size_t>(bytes)), &found);
        if (!said.ok()) return fail_with(env, REEL_E_FORMAT, "encode", said);
        const int64_t n_found = static_cast<int64_t>(found.size());
        void *room = reel_alloc(env, (n_found + 1) * static_cast<int64_t>(sizeof **id), tag_text);
        if (!room) return REEL_E_NOMEM;
        *id = static_cast<int32_t *>(room);
        for (size_t i = 0; i < found.size(); i++)
            (*id)[i] = found[i];
        *n = n_found;
        return REEL_OK;
    });
}

/* *out becomes a copy of text in the tagged allocator's memory. */
static reel_status hand_out(reel_env *env, const std::string &text, char **out, int64_t *bytes) {
    const int64_t n = static_cast<int64_t>(text.size());
    char *copy = static_cast<char *>(reel_alloc(env, n + 1, tag_text));
    if (!copy) return REEL_E_NOMEM;
    memcpy(copy, text.c_str(), text.size() + 1);
    *out = copy;
    *bytes = n;
    return REEL_OK;
}

reel_status reel_spm_decode(reel_env *env, const reel_spm *spm, const int32_t *id, int64_t n,
                            char **text, int64_t *bytes) {
    return guarded(env, "decode", [&] {
        std::string decoded;
        const auto said = spm->processor.Decode(std::vector<int>(id, id + n), &decoded);
        if (!said.ok()) return fail_with(env, REEL_E_FORMAT, "decode", said);
        return hand_out(env, decoded, text, bytes);
    });
}

reel_status reel_spm_train(reel_env *env, const reel_vocabulary_options *options,
                           reel_line_source *next, void *context, char **model, int64_t *bytes) {
    static const char name[] = "tokenizer training";
    return guarded(env, name, [&] {
        /* One thread: with more, counts are summed in the order in which threads finish. */
        const std::unordered_map<std::string, std::string> flags = {
            {"model_type", "unigram"},
            {"vocab_size", std::to_string(options->size)},
            {"hard_vocab_limit", "false"},
            {"character_coverage", std::to_string(options->coverage)},
            {"byte_fallback", "true"},
            {"normalization_rule_name", "nmt_nfkc"},
            {"pad_id", "0"},
            {"eos_id", "1"},
            {"unk_id", "2"},
            {"bos_id", "-1"},
            {"num_threads", "1"},
            {"shuffle_input_sentence", "false"},
            {"max_sentence_length", "16384"}, /* the caller's own limit holds */
            {"minloglevel", "2"},             /* nothing on stderr but what is fatal */
        };
        Lines lines(next, context);
        if (lines.done())
            return reel_fail(env, REEL_E_ARG, "%s: no usable line in the corpus", name);
        std::string trained;
        const auto said = sentencepiece::SentencePieceTrainer::Train(flags, &lines, &trained);
        if (!said.ok()) return fail_with(env, REEL_E_ARG, name, said);
        return hand_out(env, trained, model, bytes);
    });
}
#endif
