#pragma once
/// The seed of a randomised test.

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace cairn {

/// A fresh seed, printed; CAIRN_SEED in the environment repeats a run.
inline std::uint64_t test_seed() {
  const auto* given = std::getenv("CAIRN_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "CAIRN_SEED=" << seed << '\n';
  return seed;
}

} // namespace cairn
