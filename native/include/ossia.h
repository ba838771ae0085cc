// The native backend of Ossia: a plain C ABI over arrays that the caller owns.
//
// Arrays are row-major and contiguous. Shapes use one alphabet:
//
//     T tokens    D model width     H query heads    K key/value heads    E head width    V vocabulary
//     N rows      C columns         X experts        A active experts     F expert width  B width of a low-rank term
//
// Every function that can fail returns an ossia_status and, on failure, has written nothing to its outputs. Pointers
// are only used during the call, except where a comment says otherwise; none is ever freed here. A context does one
// call at a time: a second thread's call waits for the first.
//
// Order of additions. Unless a function says otherwise, a sum over a row of C values is made of 16 partial sums:
// partial i takes the values 32 c + 2 i + 1 and 32 c + 2 i for c = 0, 1, ... with a fused multiply-add each (values
// beyond the row's end count as 0), and then partials i and i + 8 are added, then i and i + 4, i + 2, i + 1. It is the
// same for one token as for many, and for any number of threads, so the same call with the same instruction set gives a
// token the same bits whatever else is in the batch. Subnormal numbers are kept.

#ifndef OSSIA_H_
#define OSSIA_H_

#include <stdint.h>

#if defined(_WIN32)
#define OSSIA_API __declspec(dllexport)
#else
#define OSSIA_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------------------------------------------------------------
// The library

// Changes when a function or struct does; the Python side refuses a library of another version.
#define OSSIA_ABI_VERSION 7
OSSIA_API int32_t ossia_abi_version(void);

typedef enum {
  OSSIA_OK = 0,
  OSSIA_BAD_ARGUMENT = 1,   // a size, dtype or pointer that no caller may pass
  OSSIA_BAD_INDEX = 2,      // a token, expert, adapter, page or slot outside its range
  OSSIA_OUT_OF_MEMORY = 3,  // scratch memory
  OSSIA_UNSUPPORTED = 4,    // an instruction set that this processor lacks or that has no such name
} ossia_status;

// OSSIA_TURBO is OSSIA_FAST everywhere but in ossia_experts and ossia_linear, and there too where it is no faster.
typedef enum { OSSIA_EXACT = 0, OSSIA_FAST = 1, OSSIA_TURBO = 2 } ossia_precision;

// Threads, scratch memory and the kernels of one instruction set.
typedef struct ossia_context ossia_context;

// Stores a new context at `*out`; `threads` 0 means one for each processor this process may use. `isa` is "zen4",
// "amx", "avx512bf16", "avx512" or "avx2" on x86-64, "dotprod" or "neon" on AArch64, "portable" anywhere, or NULL for
// the best that the processor has. On failure `*out` is NULL. To be given to ossia_destroy once, while no call uses it.
OSSIA_API int32_t ossia_create(int32_t threads, const char* isa, ossia_context** out);
OSSIA_API void ossia_destroy(ossia_context* context);

OSSIA_API int32_t ossia_threads(const ossia_context* context);
OSSIA_API const char* ossia_isa(const ossia_context* context);  // a constant; not to be freed

// ---------------------------------------------------------------------------------------------------------------------
// Weights and products

typedef enum { OSSIA_F32 = 0, OSSIA_BF16 = 1, OSSIA_MXFP4 = 2, OSSIA_INT8 = 3 } ossia_dtype;

// A matrix [N, C], or X of them, as stored: F32 and BF16 `values` are [X, N, C]. MXFP4 `values` are [X, N, C / 32, 16]
// bytes, byte k of a block holding the values 2 k (low nibble) and 2 k + 1, and `scales` [X, N, C / 32] bytes, the
// power of two of each block plus 127 (255 is not a number: its block gives NaN). INT8 `values` are what
// ossia_int8_round makes, for ossia_linear alone, and X is 1. `values` and `scales` need no alignment beyond that of
// their type, and nothing outside them is read, so a memory-mapped file will do.
typedef struct {
  const void* values;
  const uint8_t* scales;  // NULL unless MXFP4
  const float* bias;      // [X, N], or NULL for none
  int64_t experts;        // X; 1 for a single matrix
  int64_t rows;           // N
  int64_t columns;        // C; a multiple of 32 for MXFP4
  int32_t dtype;          // ossia_dtype
} ossia_weight;

// Low-rank terms beside one ossia_weight, one for each adapter: y += scale * (x @ a.T) @ b.T.
typedef struct {
  const float* a;      // [adapters, X, B, C]
  const float* b;      // [adapters, X, N, B]
  const float* scale;  // [adapters]
  int64_t adapters;
  int64_t width;  // B
} ossia_low_rank;

// The bytes of a matrix [N, C] in INT8; 0 if there can be no such matrix.
OSSIA_API int64_t ossia_int8_bytes(int64_t rows, int64_t columns);

// A single matrix [N, C], F32 or BF16, rounded to 8 bits: writes ossia_int8_bytes(N, C) to `panels`, laid out as
// src/int8.h says, the same bytes on every instruction set. Each 64 columns of a row have a scale, which is their
// largest magnitude over 127, rounded up to bfloat16; a weight becomes the nearest multiple of it. The bias is ignored.
OSSIA_API int32_t ossia_int8_round(ossia_context* context, const ossia_weight* weight, void* panels);

// [V, D] (experts 1, F32 or BF16), [T] -> [T, D]: the rows of the table in float32. OSSIA_BAD_INDEX for a token below 0
// or from V on. The table's bias is ignored.
OSSIA_API int32_t ossia_embed(ossia_context* context, const ossia_weight* table, const int32_t* tokens, int64_t count,
                              float* y);

// [T, C] -> [T, N]: x @ weight.T, then + bias, then + the low-rank term of each token's adapter. The weight is a single
// matrix, F32, BF16 or INT8. `terms` and `adapters` [T] (-1: none) may be NULL, both or either. OSSIA_FAST rounds x to
// bfloat16 first (a router's input is to be given as OSSIA_EXACT). On "avx512bf16" and "zen4", OSSIA_FAST with a BF16
// or MXFP4 weight uses the processor's own product of bfloat16 pairs: the same order and rounding, but subnormal
// numbers count as 0. On "amx" it uses the processor's matrix tiles instead, which add in an order of their own, the
// same for one token as for many (src/tile_kernels.h).
//
// A weight in INT8 is for OSSIA_FAST, which then rounds x to 15 bits for each token instead: to the nearest
// multiple of its largest magnitude over 16256. Each 64 columns are summed exactly, as integers, and these sums, times
// the weights' scale, are added in float32, from the first on; then the whole is multiplied by the token's scale. The
// bits are the same on every instruction set. A token with a value that is not finite gives NaN. OSSIA_TURBO does the
// same, but for more than ossia_most_whole_tokens, whose 64 columns it then rounds to 8 bits: to the nearest multiple
// of their largest magnitude over 127. It multiplies their sums by that scale with a fused multiply-add then, and the
// weights' scale has to be below 2^104.
//
// OSSIA_BAD_INDEX for an adapter below -1 or from `terms->adapters` on.
OSSIA_API int32_t ossia_linear(ossia_context* context, const float* x, int64_t tokens, const ossia_weight* weight,
                               const ossia_low_rank* terms, const int32_t* adapters, int32_t precision, float* y);

// How many tokens of a call are rounded to 15 bits beside INT8, at most; more are to 8. INT64_MAX: any number.
OSSIA_API int64_t ossia_most_whole_tokens(const ossia_context* context, int32_t precision);

// As ossia_linear without terms, for some rows of the weight: those whose bit is set in `wanted`, bit n % 32 of word
// n / 32 being row n's. They get the bits that ossia_linear gives them; the rest of y [T, N] stays as it was, except
// that a weight in INT8 is computed by panels of 16 rows, all of those that have a wanted one.
OSSIA_API int32_t ossia_linear_rows(ossia_context* context, const float* x, int64_t tokens, const ossia_weight* weight,
                                    const uint32_t* wanted, int32_t precision, float* y);

// How ossia_experts rounds its inputs beside weights in MXFP4, by how many tokens of each 1024 of a call, from the
// first on, chose an expert. Where at most `*whole_tokens` did, to 15 bits for each token, as ossia_linear does beside
// INT8. The rest as `*rest` says: as OSSIA_EXACT does (OSSIA_F32), to bfloat16 (OSSIA_BF16), or to 8 bits with a scale
// for each 32 columns, their largest magnitude over 127 (OSSIA_INT8), after they were rounded to 15. Beside other
// weights, and where a weight's rows are no multiple of 16, OSSIA_FAST and OSSIA_TURBO round to bfloat16.
//
// OSSIA_EXACT does not round; or, on "avx512bf16", "zen4" and "amx" where the processor has AVX512_VBMI, beside weights
// in MXFP4 of a multiple of 16 rows and up to 4096 columns, to 23 bits with a scale for each 32 columns, their largest
// magnitude over 5592404: so a block's products are summed exactly, and what is lost is of the size of what float32
// sums lose. A token with a value that is not finite gives NaN then.
//
// So at OSSIA_TURBO a token's numbers depend, by rounding, on those beside it; at OSSIA_FAST they do not.
OSSIA_API void ossia_expert_rounding(const ossia_context* context, int32_t precision, int64_t* whole_tokens,
                                     int32_t* rest);

// [T, D], [T, A], [T, A] -> [T, D]: the chosen experts' outputs, each times its share, added in the order of `chosen`.
//
// One expert: h = gate_up x + bias; gate = min(h[0::2], limit), up = clamp(h[1::2], -limit, limit);
// a = gate * sigmoid(1.702 gate) * (up + 1); down a + bias. Low-rank terms are added to h, and to the result of `down`
// before the share. x and a are rounded as ossia_expert_rounding says, and for low-rank terms, at OSSIA_FAST and
// OSSIA_TURBO, to bfloat16. In float32 and bfloat16 sums are made as by ossia_linear; whole numbers are summed as
// src/whole_kernels.h says.
//
// `gate_up` is [X, 2 F, D], `down` [X, D, F]; the four pointers to terms and adapters may be NULL.
// OSSIA_BAD_INDEX for an expert outside 0 to X - 1 or an adapter below -1 or from either term's `adapters` on.
OSSIA_API int32_t ossia_experts(ossia_context* context, const float* x, int64_t tokens, const int32_t* chosen,
                                const float* shares, int64_t active, const ossia_weight* gate_up,
                                const ossia_weight* down, const ossia_low_rank* gate_up_terms,
                                const ossia_low_rank* down_terms, const int32_t* adapters, float limit,
                                int32_t precision, float* y);

// Reads `bytes` (rounded down to a multiple of 64) at `data`, which must be aligned to 64, once with all threads, and
// stores their sum as 64-bit words at `*sum`: the speed of this call is what memory allows.
OSSIA_API int32_t ossia_read_bandwidth(ossia_context* context, const void* data, int64_t bytes, uint64_t* sum);

// Reads a mapping ahead; there is no outcome. Takes no context, so that another thread may compute meanwhile.
//
// With `wait` 1 it is read into memory, in pages of 2 MiB where the file system can keep them so, and into this
// process's page tables: products read such pages twice to four times as fast as pages of 4 KiB that lie scattered.
// Waits for the disk, on Linux from 5.14 on. With 2 nothing is read yet, but whoever comes to a page of it first will
// bring all of its 2 MiB. With 0 the disk is only asked for it, and for nothing beyond it: for memory that cannot hold
// all.
OSSIA_API void ossia_will_need(const void* data, int64_t bytes, int32_t wait);

// Rows of `bytes` each, one after another: part of a mapped file that is to be looked at before it is used.
typedef struct {
  const void* data;
  int64_t rows;
  int64_t bytes;
} ossia_rows;

// Stores the sum of each row's 64-bit words, row by row and part by part, at `sums`; a row is a multiple of 8 bytes, at
// a multiple of 8. All parts in one call and with all threads, and read ahead as by ossia_will_need with `wait` 1.
OSSIA_API int32_t ossia_sum_rows(ossia_context* context, const ossia_rows* parts, int64_t count, uint64_t* sums);

// Stores at `*part` the number of the first part that has a byte of this value, or -1; reads as ossia_sum_rows does.
OSSIA_API int32_t ossia_find_byte(ossia_context* context, const ossia_rows* parts, int64_t count, uint8_t value,
                                  int64_t* part);

// ---------------------------------------------------------------------------------------------------------------------
// Attention and norms

// The keys and values of one layer. A page is `page_size` neighbouring positions of a request; the slot of a page's
// first position is page * page_size. `data` is ossia_page_bytes() for each page, all zero at first, at a multiple of
// 64 bytes; how it is laid out is the library's affair (src/attend.h), but a page can be copied byte by byte onto
// another.
typedef struct {
  void* data;
  int64_t pages;
  int64_t page_size;
  int64_t heads;  // K
  int64_t width;  // E, even, at most 1024, and 256 in 8 bits
  int32_t dtype;  // OSSIA_F32, OSSIA_BF16 or OSSIA_INT8: keys and values are rounded to it
} ossia_cache;

// The tokens of a step: rows starts[r] up to starts[r + 1] are request r's, at neighbouring positions; rows from
// starts[R] on are padding, for which 0 is computed.
typedef struct {
  const int32_t* positions;   // [T]
  const int32_t* starts;      // [R + 1], the first 0, rising, at most T
  const int32_t* slots;       // [T], where a token's key and value are written; -1: nowhere
  const int32_t* table;       // [R, P], the page of positions p * page_size ... of request r; -1: none
  int64_t tokens;             // T
  int64_t requests;           // R
  int64_t pages_per_request;  // P
} ossia_step;

// 0 if the cache is none that the library can keep; `data` is not looked at.
OSSIA_API int64_t ossia_page_bytes(const ossia_cache* cache);

// [T, H, E], [T, K, E], [T, K, E], [H] -> [T, H * E]: writes k and v to their slots; then each token at position i sees
// the keys of its request at positions up to i, and beyond i - window if `window` is not 0. Scores are q.k / sqrt(E);
// the head's sink joins the softmax as one more score without a value. `heads` is H, a multiple of K. The order of
// additions stands in src/attend.h. In 8 bits a head's key or value is rounded to whole numbers from -127 to 127, with
// its largest magnitude over 127 as their scale, and a query and the weights of values to 15 bits. Beside bfloat16
// these are rounded to 2^-17 of themselves on "amx", and to bfloat16 on "zen4"; on both, subnormal numbers count as 0.
// OSSIA_BAD_INDEX for positions that are not neighbours, a slot beyond the cache, or a visible position without a page.
OSSIA_API int32_t ossia_attend(ossia_context* context, const float* q, const float* k, const float* v,
                               const float* sinks, int64_t heads, const ossia_cache* cache, const ossia_step* step,
                               int64_t window, float* y);

// [T, D], [D] -> [T, D]: x / sqrt(mean(x^2) + eps) * scale. Squares are summed in 16 lanes, lane i taking the values
// 16 c + i, and then over the lanes as above.
OSSIA_API int32_t ossia_rms_norm(ossia_context* context, const float* x, const float* scale, int64_t tokens,
                                 int64_t width, float eps, float* y);

// [T, heads, E], [T, E / 2], [T, E / 2] -> [T, heads, E]: each pair (i, i + E / 2) turned by its angle.
OSSIA_API int32_t ossia_rope(ossia_context* context, const float* x, const float* cos, const float* sin, int64_t tokens,
                             int64_t heads, int64_t width, float* y);

// [T, X] -> [T, A] int32, [T, A]: the A experts with the largest scores, best first, the lower one among equals, and
// the softmax over their scores alone. NaN counts as the least score, and where there is one, all shares are NaN.
OSSIA_API int32_t ossia_choose(ossia_context* context, const float* scores, int64_t tokens, int64_t experts,
                               int64_t active, int32_t* chosen, float* shares);

// ---------------------------------------------------------------------------------------------------------------------
// Sampling

// What is wanted of each of L rows of logits; src/ossia/ops/sampling.py is the definition.
typedef struct {
  const float* temperature;    // [L], 0: the largest
  const int32_t* top_k;        // [L], 0: off
  const float* top_p;          // [L], 1: off
  const float* min_p;          // [L], 0: off
  const uint64_t* seed;        // [L]
  const int64_t* position;     // [L]
  const int32_t* bias_starts;  // [L + 1]: row l's entries of the next two
  const int32_t* bias_tokens;
  const float* bias_values;
  const uint32_t* mask;  // [L, mask_words], bit v % 32 of word v / 32 set: token v is allowed; NULL: all are
  int64_t mask_words;    // at least V / 32, rounded up
  int64_t top_logprobs;  // N
  int32_t logprobs;      // 0: none are wanted
} ossia_draw;

// [L, V] -> [L] int32: the tokens drawn, -1 where none is allowed. V is at most 2^24. With `draw->logprobs` also their
// log-probabilities [L] and the N best tokens and theirs [L, N] each; otherwise the last three may be NULL. NaN counts
// as -infinity. OSSIA_BAD_INDEX for a bias of a token outside 0 to V - 1.
OSSIA_API int32_t ossia_sample(ossia_context* context, const float* logits, int64_t rows, int64_t vocabulary,
                               const ossia_draw* draw, int32_t* tokens, float* logprobs, int32_t* top_tokens,
                               float* top_values);

// The bytes of a copy of a matrix [N, C] in 4 bits; 0 if there can be no such matrix.
OSSIA_API int64_t ossia_int4_bytes(int64_t rows, int64_t columns);

// The copy of a weight in INT8: writes ossia_int4_bytes(N, C) to `panels`, laid out as src/int4.h says, the same bytes
// on every instruction set.
OSSIA_API int32_t ossia_int4_round(ossia_context* context, const ossia_weight* weight, void* panels);

// As ossia_screen, of a weight in INT8 and its copy in 4 bits, for the logits that ossia_linear makes of x [L, C] at
// OSSIA_FAST. A token that may be drawn is missing with a probability of 1e-9 a row at most (src/int4_screen.cc says
// why). The weight's bias is ignored.
OSSIA_API int32_t ossia_int4_screen(ossia_context* context, const float* x, int64_t rows, const ossia_weight* weight,
                                    const void* panels, const ossia_draw* draw, uint32_t* wanted);

// What ossia_screen wants to know of a matrix [N, C] in INT8: for each row, the root of the sum over its columns of
// their scale squared, rounded up; NaN where it has a weight that is not finite.
OSSIA_API int32_t ossia_int8_norms(ossia_context* context, const ossia_weight* weight, float* norms);

// Which tokens ossia_sample may draw from the logits of a weight [V, C], F32 or BF16, at OSSIA_EXACT, told without
// them: `logits` [L, V] are what ossia_linear gives for x [L, C] and the weight in INT8, and `norms` [V] those of
// ossia_int8_norms. Sets the bits of those tokens, of all rows
// together, in `wanted` [V / 32, rounded up], and clears all others: whoever has ossia_linear_rows make those logits,
// and takes -infinity for the rest, draws the same tokens (src/screen.cc says why). Where nothing is known, all that
// the masks allow are wanted. The draw has no filters and no log-probabilities.
OSSIA_API int32_t ossia_screen(ossia_context* context, const float* x, int64_t rows, int64_t columns,
                               const float* logits, const float* norms, int64_t vocabulary, const ossia_draw* draw,
                               uint32_t* wanted);

#ifdef __cplusplus
}
#endif

#endif  // OSSIA_H_
