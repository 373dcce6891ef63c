#include "tests/crash/numbered_object.hpp"

#include "core/unified_id.hpp"

#include <array>
#include <random>

#include <fmt/format.h>

namespace cairn::crash {

namespace {

constexpr collection_id collection{1};

struct size_class {
  std::uint64_t percent;
  std::size_t max_bytes;
};
/// Small ones mostly, so that a cycle holds many acknowledgements; a few that fill several blocks and reads.
constexpr std::array size_classes{size_class{10, 0}, size_class{60, 4'096}, size_class{89, 16'384},
                                  size_class{98, 65'536}, size_class{100, 1U << 20U}};

std::size_t any_size(std::mt19937_64& random) {
  const auto dice = random() % 100;
  for (const auto& one : size_classes)
    if (dice < one.percent)
      return one.max_bytes == 0 ? 0 : 1 + random() % one.max_bytes;
  return 0;
}

/// Sequences before the last must not be empty.
std::vector<std::size_t> any_sequences(std::mt19937_64& random, std::size_t count) {
  std::vector<std::size_t> sizes;
  while (sizes.size() + 1 < count)
    sizes.push_back(1 + any_size(random));
  sizes.push_back(any_size(random));
  return sizes;
}

/// The same whenever it is asked for, as the object may be archived again.
timestamp_us time_of(unified_id version) {
  constexpr std::int64_t begin_of_ids_ms = 1'577'836'800'000; // 2020-01-01Z
  return timestamp_us{(begin_of_ids_ms + static_cast<std::int64_t>(decompose(version).milliseconds)) * 1'000};
}

} // namespace

object_shape shape_of(std::uint64_t number) {
  std::mt19937_64 random(number * 0x9E3779B97F4A7C15ULL);
  object_shape shape;
  shape.key = fmt::format("object/{}", number);
  const auto dice = random() % 100;
  if (dice < 60)
    shape.parts = {any_sequences(random, 1)};
  else if (dice < 88)
    shape.parts = {any_sequences(random, 2 + random() % 4)};
  else
    for (auto parts = 2 + random() % 2; parts > 0; --parts)
      shape.parts.push_back(any_sequences(random, 1 + random() % 2));
  return shape;
}

harness::sample_object segment_of(std::uint64_t number, std::size_t part, unified_id version) {
  const auto shape = shape_of(number);
  harness::sample_object object;
  object.segment = {collection, shape.key, version, time_of(version), 0, 1};
  if (shape.is_conjoined())
    object.segment.conjoined_part = static_cast<std::int32_t>(part) + 1;
  auto seed = number * 1'000 + part * 100;
  for (const auto size_bytes : shape.parts[part])
    object.sequences.push_back(harness::bytes_of_seed(size_bytes, ++seed));
  object.file = harness::describe(object.sequences);
  return object;
}

} // namespace cairn::crash
