#include "core/md5_lanes.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

static_assert(std::endian::native == std::endian::little, "MD5 is made of little-endian words");

namespace cairn {

namespace {

constexpr std::size_t block_bytes = 64;
constexpr std::size_t words_of_block = 16;
constexpr std::size_t length_bytes = 8;
constexpr std::size_t lanes_of_set = 8;
constexpr std::size_t sets = md5_lane_count / lanes_of_set;

using words = std::array<std::uint32_t, 4>; ///< of one buffer: A, B, C, D of RFC 1321
constexpr words first_words{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

/// RFC 1321, section 3.4: the integer parts of 2^32 times |sin(i + 1)|.
constexpr std::uint32_t sines[64] = {
  0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
  0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
  0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
  0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
  0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
  0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
  0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
  0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

/// By how much a step of each of the four passes turns to the left.
constexpr int turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

/// The same word of eight buffers.
typedef std::uint32_t lane_words __attribute__((vector_size(lanes_of_set * sizeof(std::uint32_t))));

// Inlined into functions that are made for one kind of processor each; vectors are handed over by reference,
// since how they are passed depends on the kind.
#define CAIRN_INLINE [[gnu::always_inline]] inline

/// @param bytes of each lane, half a block. @param out its eight words, each of all lanes
CAIRN_INLINE void transpose(const std::byte* const* bytes, std::size_t offset, lane_words* out) {
  lane_words row[lanes_of_set];
  for (std::size_t lane = 0; lane < lanes_of_set; ++lane)
    std::memcpy(&row[lane], bytes[lane] + offset, sizeof row[lane]);
  lane_words pair[lanes_of_set];
  for (std::size_t i = 0; i < lanes_of_set; i += 2) {
    pair[i] = __builtin_shufflevector(row[i], row[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pair[i + 1] = __builtin_shufflevector(row[i], row[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  lane_words quad[lanes_of_set];
  for (std::size_t i = 0; i < lanes_of_set; i += 4)
    for (std::size_t j = 0; j < 2; ++j) {
      quad[i + 2 * j] = __builtin_shufflevector(pair[i + j], pair[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      quad[i + 2 * j + 1] = __builtin_shufflevector(pair[i + j], pair[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (std::size_t i = 0; i < 4; ++i) {
    out[i] = __builtin_shufflevector(quad[i], quad[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    out[i + 4] = __builtin_shufflevector(quad[i], quad[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/// One step. @param a takes its result
template <int pass>
CAIRN_INLINE void step(lane_words& a, const lane_words& b, const lane_words& c, const lane_words& d,
                       const lane_words& word, std::uint32_t sine, int turn) {
  if constexpr (pass == 0)
    a += (d ^ (b & (c ^ d))) + word + sine;
  else if constexpr (pass == 1)
    a += (c ^ (d & (b ^ c))) + word + sine;
  else if constexpr (pass == 2)
    a += (b ^ c ^ d) + word + sine;
  else
    a += (c ^ (b | ~d)) + word + sine;
  a = ((a << turn) | (a >> (32 - turn))) + b;
}

template <std::size_t set_count, int pass>
CAIRN_INLINE void sixteen_steps(lane_words (&state)[set_count][4],
                                const lane_words (&block)[set_count][words_of_block]) {
  constexpr std::size_t strides[4] = {1, 5, 3, 7};
  constexpr std::size_t firsts[4] = {0, 1, 5, 0};
#pragma GCC unroll 16
  for (std::size_t i = 0; i < words_of_block; ++i) {
    const auto word = (firsts[pass] + strides[pass] * i) % words_of_block;
    const auto sine = sines[static_cast<std::size_t>(pass) * words_of_block + i];
    const auto turn = turns[pass][i % 4];
#pragma GCC unroll 2
    for (std::size_t set = 0; set < set_count; ++set) {
      auto& of = state[set];
      step<pass>(of[(4 - i % 4) % 4], of[(5 - i % 4) % 4], of[(6 - i % 4) % 4], of[(7 - i % 4) % 4],
                 block[set][word], sine, turn);
    }
  }
}

/// @param words_of of each lane, taken on by `blocks` blocks. @param bytes of each lane, where they begin
template <std::size_t set_count>
CAIRN_INLINE void run(words* words_of, const std::byte* const* bytes, std::size_t blocks) {
  lane_words state[set_count][4];
  for (std::size_t set = 0; set < set_count; ++set)
    for (std::size_t word = 0; word < 4; ++word)
      for (std::size_t lane = 0; lane < lanes_of_set; ++lane)
        state[set][word][lane] = words_of[set * lanes_of_set + lane][word];
  for (std::size_t i = 0; i < blocks; ++i) {
    lane_words block[set_count][words_of_block];
    lane_words before[set_count][4];
    for (std::size_t set = 0; set < set_count; ++set) {
      transpose(bytes + set * lanes_of_set, i * block_bytes, block[set]);
      transpose(bytes + set * lanes_of_set, i * block_bytes + block_bytes / 2,
                block[set] + words_of_block / 2);
    }
    std::memcpy(before, state, sizeof before);
    sixteen_steps<set_count, 0>(state, block);
    sixteen_steps<set_count, 1>(state, block);
    sixteen_steps<set_count, 2>(state, block);
    sixteen_steps<set_count, 3>(state, block);
    for (std::size_t set = 0; set < set_count; ++set)
      for (std::size_t word = 0; word < 4; ++word)
        state[set][word] += before[set][word];
  }
  for (std::size_t set = 0; set < set_count; ++set)
    for (std::size_t word = 0; word < 4; ++word)
      for (std::size_t lane = 0; lane < lanes_of_set; ++lane)
        words_of[set * lanes_of_set + lane][word] = state[set][word][lane];
}

#undef CAIRN_INLINE

using kernel = void (*)(words*, const std::byte* const*, std::size_t);

void run_one_set(words* w, const std::byte* const* bytes, std::size_t blocks) { run<1>(w, bytes, blocks); }
void run_all_sets(words* w, const std::byte* const* bytes, std::size_t blocks) {
  run<sets>(w, bytes, blocks);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void run_one_set_avx2(words* w, const std::byte* const* bytes, std::size_t blocks) {
  run<1>(w, bytes, blocks);
}
[[gnu::target("avx2")]] void run_all_sets_avx2(words* w, const std::byte* const* bytes, std::size_t blocks) {
  run<sets>(w, bytes, blocks);
}
#endif

/// What this processor can do.
struct kernels {
  kernel one_set = run_one_set;
  kernel all_sets = run_all_sets;

  kernels() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
      one_set = run_one_set_avx2;
      all_sets = run_all_sets_avx2;
    }
#endif
  }
};

/// A buffer under way: first its whole blocks, then the rest with the padding of RFC 1321, sections 3.1
/// and 3.2.
struct lane {
  std::size_t buffer = 0; ///< which one
  const std::byte* begun = nullptr;
  std::size_t done = 0;   ///< bytes of the part that it is in
  std::size_t blocks = 0; ///< that follow in that part
  bool is_padded = false; ///< it is in its last part
  std::array<std::byte, 2 * block_bytes> last{};

  void begin(std::size_t index, std::span<const std::byte> data) {
    buffer = index;
    begun = data.data();
    done = 0;
    blocks = data.size() / block_bytes;
    is_padded = false;
    if (blocks == 0)
      pad(data);
  }

  [[nodiscard]] const std::byte* here() const { return (is_padded ? last.data() : begun) + done; }

  /// @returns false when nothing of it is left
  bool go_on(std::size_t by, std::span<const std::byte> data) {
    done += by * block_bytes;
    blocks -= by;
    if (blocks == 0 && !is_padded)
      pad(data);
    return blocks != 0;
  }

  void pad(std::span<const std::byte> data) {
    const auto rest = data.last(data.size() % block_bytes);
    last.fill(std::byte{0});
    if (!rest.empty())
      std::memcpy(last.data(), rest.data(), rest.size());
    last[rest.size()] = std::byte{0x80};
    blocks = rest.size() + 1 + length_bytes <= block_bytes ? 1 : 2;
    const std::uint64_t bits = std::uint64_t{data.size()} * 8;
    std::memcpy(last.data() + blocks * block_bytes - length_bytes, &bits, length_bytes);
    is_padded = true;
    done = 0;
  }
};

} // namespace

void md5_of_many(std::span<const std::span<const std::byte>> data, std::span<md5_digest> out) {
  static const kernels best;
  std::array<lane, md5_lane_count> lanes;
  std::array<words, md5_lane_count> words_of{};
  std::size_t next = 0;
  std::size_t active = 0; // lanes 0..active-1 have a buffer
  for (;;) {
    for (; active < md5_lane_count && next < data.size(); ++active) {
      lanes[active].begin(next, data[next]);
      words_of[active] = first_words;
      ++next;
    }
    if (active == 0)
      return;
    auto blocks = lanes[0].blocks;
    for (std::size_t i = 1; i < active; ++i)
      blocks = std::min(blocks, lanes[i].blocks);
    std::array<const std::byte*, md5_lane_count> at;
    for (std::size_t i = 0; i < md5_lane_count; ++i)
      at[i] = lanes[i < active ? i : 0].here(); // those without a buffer go along with the first one
    (active <= lanes_of_set ? best.one_set : best.all_sets)(words_of.data(), at.data(), blocks);
    for (std::size_t i = 0; i < active;) {
      if (lanes[i].go_on(blocks, data[lanes[i].buffer])) {
        ++i;
        continue;
      }
      std::memcpy(out[lanes[i].buffer].data(), words_of[i].data(), sizeof(md5_digest));
      --active; // the last one takes its place
      lanes[i] = lanes[active];
      words_of[i] = words_of[active];
    }
  }
}

} // namespace cairn
