// Compiled with the flags of avx512bf16 and AMX's own. Weights are the rows of a tile as they lie in memory, so a dense
// matrix needs no preparation at all; MXFP4 is decoded into a panel of tiles on the way.

#include "tile_kernels.h"

#include "operands.h"
#include "tile_setup.h"
#include "turn.h"

namespace ossia::tiles {
namespace {

using namespace OSSIA_ISA;

// Rows of a block: two tiles of weights meet two groups of tokens, with four tiles of sums.
constexpr int64_t kBlockRows = 2 * kTileRows;

// Decoded chunks of columns that are kept. For up to two groups of tokens the latest few, since a tile cannot be read
// before what was written to it is in the cache; for more, whole rows where the stack has room for them, so that each
// is decoded once.
constexpr int64_t kFewChunks = 2, kMostChunks = 96;

// Tokens of one pass over a dense matrix's rows: their activations stay in the second cache from block to block.
constexpr int64_t kPassTokens = 128;

// Tile registers, which instructions take as constants: 2 i + j holds the sums of the block's tile i and group j, 4 + i
// the weights of tile i, 6 + j the tokens of group j.
// The columns of a chunk as tiles have them, for a dense matrix and for MXFP4.
alignas(64) constexpr uint16_t kInOrder[kBlock] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                   16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
alignas(64) constexpr uint16_t kScattered[kBlock] = {0, 4, 8,  12, 16, 20, 24, 28, 1, 5, 9,  13, 17, 21, 25, 29,
                                                     2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31};

// Sanitizers do not see what tiles read, so that in their builds every row's ends are read plainly first.
OSSIA_INLINE void look_at([[maybe_unused]] const void* row, [[maybe_unused]] int64_t bytes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const volatile char* at = static_cast<const volatile char*>(row);
  if (bytes > 0) static_cast<void>(at[0] + at[bytes - 1]);
#endif
}

// One or two tiles of rows that meet one or two groups of tokens.
struct Meeting {
  int64_t rows[2], tokens[2];

  bool operator==(const Meeting& other) const {
    return rows[0] == other.rows[0] && rows[1] == other.rows[1] && tokens[0] == other.tokens[0] &&
           tokens[1] == other.tokens[1];
  }

  // What is absent is given the smallest shape, because no tile may have none.
  void configure() const {
    const auto some = [](int64_t count) { return count > 0 ? count : 1; };
    Setup setup;
    for (int64_t i = 0; i < 2; ++i) {
      setup.set(4 + i, some(rows[i]), kTileWidth);
      setup.set(6 + i, kTileRows, some(tokens[i]) * 4);
      for (int64_t j = 0; j < 2; ++j) setup.set(2 * i + j, some(rows[i]), some(tokens[j]) * 4);
    }
    setup.load();
  }
};

// Some columns of a block's rows as tiles: chunk c of the tile of rows i begins at values + i * tile + c * chunk, and
// its rows lie `row` bytes apart.
struct Weights {
  const char* values;
  int64_t tile, chunk, row;
};

// Groups of tokens at some column: chunk c of group j begins at values[j] + c * chunk[j].
struct Tokens {
  const char* values[2];
  int64_t chunk[2];

  OSSIA_INLINE Tokens from(int64_t c) const {
    return {{values[0] + c * chunk[0], values[1] + c * chunk[1]}, {chunk[0], chunk[1]}};
  }
};

template <int kTiles, int kGroups>
OSSIA_INLINE void add_chunk(const char* w, const Weights& weights, const Tokens& x, int64_t c) {
  _tile_loadd(6, x.values[0] + c * x.chunk[0], x.chunk[0] / kTileRows);
  if constexpr (kGroups > 1) _tile_loadd(7, x.values[1] + c * x.chunk[1], x.chunk[1] / kTileRows);
  _tile_loadd(4, w, weights.row);
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kGroups > 1) _tile_dpbf16ps(1, 4, 7);
  if constexpr (kTiles > 1) {
    _tile_loadd(5, w + weights.tile, weights.row);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kGroups > 1) _tile_dpbf16ps(3, 5, 7);
  }
}

template <int kTiles, int kGroups>
void add_chunks(const Weights& weights, const Tokens& x, int64_t count, const char* ahead) {
  settle();
  for (int64_t c = 0; c < count; ++c) {
    if (ahead != nullptr) {
      for (int64_t i = 0; i < kTiles * kTileBytes; i += 64) prefetch_far(ahead + c * kTiles * kTileBytes + i);
    }
    add_chunk<kTiles, kGroups>(weights.values + c * weights.chunk, weights, x, c);
  }
}

void add_all(const Meeting& meeting, const Weights& weights, const Tokens& x, int64_t count, const char* ahead) {
  const bool two = meeting.rows[1] > 0, pair = meeting.tokens[1] > 0;
  if (two && pair) return add_chunks<2, 2>(weights, x, count, ahead);
  if (two) return add_chunks<2, 1>(weights, x, count, ahead);
  if (pair) return add_chunks<1, 2>(weights, x, count, ahead);
  return add_chunks<1, 1>(weights, x, count, ahead);
}

void clear() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// One tile of sums [rows, tokens] to y[t * stride + r].
void store(const float* sums, int64_t rows, int64_t tokens, float* y, int64_t stride) {
  const __mmask16 wanted = first_lanes(static_cast<int>(rows)), given = first_lanes(static_cast<int>(tokens));
  if (tokens == 1) return _mm512_mask_storeu_ps(y, wanted, _mm512_maskz_loadu_ps(wanted, sums));
  __m512i v[16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) {
    v[r] = r < rows ? _mm512_maskz_loadu_epi32(given, sums + r * tokens) : _mm512_setzero_si512();
  }
  turn(v);
#pragma GCC unroll 16
  for (int t = 0; t < 16; ++t) {
    if (t < tokens) _mm512_mask_storeu_epi32(y + t * stride, wanted, v[t]);
  }
}

void store_all(const Meeting& meeting, float* y, int64_t stride) {
  alignas(64) float sums[2][2][kTileRows * kGroupTokens];
  const bool two = meeting.rows[1] > 0, pair = meeting.tokens[1] > 0;
  _tile_stored(0, sums[0][0], meeting.tokens[0] * 4);
  if (pair) _tile_stored(1, sums[0][1], meeting.tokens[1] * 4);
  if (two) _tile_stored(2, sums[1][0], meeting.tokens[0] * 4);
  if (two && pair) _tile_stored(3, sums[1][1], meeting.tokens[1] * 4);
  settle();
  for (int64_t i = 0; i < (two ? 2 : 1); ++i) {
    for (int64_t j = 0; j < (pair ? 2 : 1); ++j) {
      store(sums[i][j], meeting.rows[i], meeting.tokens[j], y + j * kGroupTokens * stride + i * kTileRows, stride);
    }
  }
}

// The groups of a call, two at a time.
struct Groups {
  const void* const* x;
  int64_t tokens, chunks;

  int64_t count_at(int64_t group) const {
    const int64_t left = tokens - group * kGroupTokens;
    return left < 0 ? 0 : left < kGroupTokens ? left : kGroupTokens;
  }
  Tokens at(int64_t group) const {
    const int64_t one = count_at(group), two = count_at(group + 1);
    look_at(x[group], one * chunks * kTileWidth);
    if (two > 0) look_at(x[group + 1], two * chunks * kTileWidth);
    return {{static_cast<const char*>(x[group]), two > 0 ? static_cast<const char*>(x[group + 1]) : nullptr},
            {one * kTileWidth, two * kTileWidth}};
  }
};

// Configures only what differs from before.
class Tiles {
 public:
  ~Tiles() { _tile_release(); }

  void set(const Meeting& meeting) {
    if (!(meeting == meeting_)) meeting.configure();
    meeting_ = meeting;
  }

 private:
  Meeting meeting_{{0, 0}, {0, 0}};
};

Meeting meeting_of(int64_t rows, const Groups& groups, int64_t group) {
  const int64_t first = rows < kTileRows ? rows : kTileRows;
  return {{first, rows - first}, {groups.count_at(group), groups.count_at(group + 1)}};
}

// A row's last columns, filled up to a chunk with zeros.
OSSIA_INLINE void copy_tail(const uint16_t* from, int64_t columns, int64_t rows, int64_t tail, uint16_t* to) {
  memset(to, 0, static_cast<size_t>(kBlockRows * kTileWidth));
  for (int64_t r = 0; r < rows; ++r) {
    memcpy(to + r * kBlock, from + r * columns, static_cast<size_t>(tail) * sizeof(uint16_t));
  }
}

// `next` is what lies in memory yet and comes after this block, or nullptr.
void dense_block(Tiles& tiles, const uint16_t* values, const void* next, int64_t columns, int64_t rows,
                 const Groups& groups, int64_t group, float* y, int64_t stride) {
  const Meeting meeting = meeting_of(rows, groups, group);
  const int64_t chunks = columns / kBlock, tail = columns % kBlock, row = columns * 2;
  const Tokens x = groups.at(group);
  tiles.set(meeting);
  clear();
  const char* begin = reinterpret_cast<const char*>(values);
  for (int64_t r = 0; r < rows; ++r) look_at(begin + r * row, chunks * kTileWidth);
  add_all(meeting, {begin, kTileRows * row, kTileWidth, row}, x, chunks, static_cast<const char*>(next));
  if (tail > 0) {
    alignas(64) uint16_t last[kBlockRows * kBlock];
    copy_tail(values + chunks * kBlock, columns, rows, tail, last);
    add_all(meeting, {reinterpret_cast<const char*>(last), kTileBytes, kTileBytes, kTileWidth}, x.from(chunks), 1,
            nullptr);
  }
  store_all(meeting, y + group * kGroupTokens * stride, stride);
}

void dense(const uint16_t* values, const void* next, int64_t columns, int64_t rows, const Groups& groups, float* y,
           int64_t stride) {
  Tiles tiles;
  for (int64_t t = 0; t < groups.tokens; t += kPassTokens) {
    const int64_t end = t + kPassTokens < groups.tokens ? t + kPassTokens : groups.tokens;
    for (int64_t r = 0; r < rows; r += kBlockRows) {
      const int64_t some = rows - r < kBlockRows ? rows - r : kBlockRows;
      const void* after = r + some < rows ? values + (r + some) * columns : next;
      for (int64_t token = t; token < end; token += 2 * kGroupTokens) {
        dense_block(tiles, values + r * columns, token == 0 ? after : nullptr, columns, some, groups,
                    token / kGroupTokens, y + r, stride);
      }
    }
  }
}

// One MXFP4 block as 32 bfloat16 in the order of `kScattered`: each 16-bit word of the block four times, its first
// nibbles, its second, third, fourth. So a block costs one shift and one lookup; in the order of its columns it costs
// four steps, which held one token's experts to 0.85 of this speed. What lies above a nibble does not matter, because
// the lookup takes five bits and its table is there twice.
OSSIA_INLINE __m512i words_of(const uint8_t* block, uint8_t scale) {
  const __m512i words = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)block));
  const __m512i shifts = _mm512_set_epi64(0x000C000C000C000C, 0x000C000C000C000C, 0x0008000800080008,
                                          0x0008000800080008, 0x0004000400040004, 0x0004000400040004, 0, 0);
  const __m512i table = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i*)kNibbles.words[scale]));
  return _mm512_permutexvar_epi16(_mm512_srlv_epi16(words, shifts), table);
}

// A block's rows, and those of the block that comes after it.
struct Block {
  Mxfp4Rows rows, next;
  int64_t count;
};

// Chunk c of a block's rows, to tiles one after another.
//
// Between the rows it asks for what comes soon and later, since a burst of requests would hold up the loads beside it:
// of every fourth row the next cache line, to the first cache (a row's line holds four chunks), and line by line a
// chunk's share of the next block, to the second.
OSSIA_INLINE void decode(const Block& block, int64_t c, char* to) {
  const int64_t row = block.rows.row_blocks, row_size = row * kBlockBytes;
  const uint8_t* from = block.rows.at(0, c);
  const uint8_t* scale = block.rows.scales + c;
  const uint8_t* soon = from + c % 4 * row_size + 64;
  const uint8_t* later = block.next.blocks == nullptr ? from : block.next.blocks + c * kBlockRows * kBlockBytes;
  int64_t r = 0;
  for (; r + 4 <= block.count; r += 4) {
    prefetch(soon + r * row_size);
    prefetch_far(later + r * kBlockBytes);
    _mm512_store_si512(to, words_of(from, scale[0]));
    _mm512_store_si512(to + kTileWidth, words_of(from + row_size, scale[row]));
    _mm512_store_si512(to + 2 * kTileWidth, words_of(from + 2 * row_size, scale[2 * row]));
    _mm512_store_si512(to + 3 * kTileWidth, words_of(from + 3 * row_size, scale[3 * row]));
    from += 4 * row_size;
    scale += 4 * row;
    to += 4 * kTileWidth;
  }
  for (; r < block.count; ++r, from += row_size, scale += row, to += kTileWidth) {
    _mm512_store_si512(to, words_of(from, *scale));
  }
  if (block.next.scales != nullptr) prefetch_far(block.next.scales + c * kBlockRows);
}

// Decodes chunk by chunk and adds each at once, so that the tiles work while the next is decoded.
template <int kTiles, int kGroups>
void decode_and_add(const Block& block, const Tokens& x, char* panel, int64_t places) {
  const Weights weights{panel, kTileBytes, kBlockRows * kTileWidth, kTileWidth};
  const int64_t chunks = block.rows.row_blocks;
  for (int64_t c = 0; c <= chunks; ++c) {
    if (c < chunks) decode(block, c, panel + c % places * weights.chunk);
    settle();
    if (c > 0) add_chunk<kTiles, kGroups>(panel + (c - 1) % places * weights.chunk, weights, x, c - 1);
  }
}

void decode_and_add_all(const Meeting& meeting, const Block& block, const Tokens& x, char* panel, int64_t places) {
  const bool two = meeting.rows[1] > 0, pair = meeting.tokens[1] > 0;
  if (two && pair) return decode_and_add<2, 2>(block, x, panel, places);
  if (two) return decode_and_add<2, 1>(block, x, panel, places);
  if (pair) return decode_and_add<1, 2>(block, x, panel, places);
  return decode_and_add<1, 1>(block, x, panel, places);
}

void mxfp4_block(Tiles& tiles, const Block& block, const Groups& groups, float* y, int64_t stride) {
  alignas(64) char panel[kMostChunks * kBlockRows * kTileWidth];
  const int64_t chunks = block.rows.row_blocks;
  const bool kept = groups.tokens > 2 * kGroupTokens && chunks <= kMostChunks;
  for (int64_t group = 0; group * kGroupTokens < groups.tokens; group += 2) {
    const Meeting meeting = meeting_of(block.count, groups, group);
    tiles.set(meeting);
    clear();
    if (kept && group > 0) {
      const Weights weights{panel, kTileBytes, kBlockRows * kTileWidth, kTileWidth};
      add_all(meeting, weights, groups.at(group), chunks, nullptr);
    } else {
      decode_and_add_all(meeting, block, groups.at(group), panel, kept ? kMostChunks : kFewChunks);
    }
    store_all(meeting, y + group * kGroupTokens * stride, stride);
  }
}

}  // namespace

void interleave(const void* const* rows, int64_t tokens, int64_t columns, bool scattered, void* group) {
  const __m512i order = _mm512_load_si512(scattered ? kScattered : kInOrder);
  const int64_t chunks = (columns + kBlock - 1) / kBlock;
  const __mmask16 given = first_lanes(static_cast<int>(tokens));
  for (int64_t c = 0; c < chunks; ++c) {
    __m512i v[16] = {};
#pragma GCC unroll 16
    for (int t = 0; t < 16; ++t) {
      if (t >= tokens) continue;
      const __m512i row = _mm512_loadu_si512(static_cast<const char*>(rows[t]) + c * kTileWidth);
      v[t] = _mm512_permutexvar_epi16(order, row);
    }
    if (tokens == 1) {
      _mm512_storeu_si512(static_cast<char*>(group) + c * kTileWidth, v[0]);
      continue;
    }
    turn(v);
    char* to = static_cast<char*>(group) + c * tokens * kTileWidth;
#pragma GCC unroll 16
    for (int k = 0; k < 16; ++k) _mm512_mask_storeu_epi32(to + k * tokens * 4, given, v[k]);
  }
}

void products(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens, float* y,
              int64_t stride) {
  const int64_t columns = matrix.columns;
  const Groups groups{x, tokens, (columns + kBlock - 1) / kBlock};
  if (matrix.dtype == OSSIA_BF16) {
    const uint16_t* values = static_cast<const uint16_t*>(matrix.values) + first * columns;
    return dense(values, matrix.next, columns, rows, groups, y, stride);
  }
  Tiles tiles;
  const Mxfp4Rows all{static_cast<const uint8_t*>(matrix.values), matrix.scales, columns / kBlock};
  const Mxfp4Rows next{static_cast<const uint8_t*>(matrix.next), matrix.next_scales, columns / kBlock};
  for (int64_t r = 0; r < rows; r += kBlockRows) {
    const int64_t some = rows - r < kBlockRows ? rows - r : kBlockRows;
    const Block block{all.from(first + r), r + some < rows ? all.from(first + r + some) : next, some};
    mxfp4_block(tiles, block, groups, y + r, stride);
  }
}

}  // namespace ossia::tiles
