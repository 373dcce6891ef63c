#pragma once
/// What the machine does without a node: the bound that a measurement is compared with, in the same run.

#include "core/errc.hpp"
#include "net/bench/latency_histogram.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace cairn::bench {

/// Appends with direct I/O, aligned, to a new file without a name. Nothing is preallocated.
struct disk_reference {
  latency_histogram one;           ///< an append of the size asked for, with its fdatasync
  std::uint64_t batched_bytes = 0; ///< written in batches, a sync after each
  std::chrono::duration<double> batched_elapsed{};
};
/// @param directory on the disk that is asked about
/// @param size_bytes of one write, rounded up to disk_block_bytes
/// @param batch how many of them go with one sync. Takes about the time twice
/// @error not_found, no_space, storage_error
result<disk_reference> measure_disk(const std::string& directory, std::uint64_t size_bytes, unsigned batch,
                                    std::chrono::milliseconds time);

/// Bytes a second that OpenSSL's MD5 digests in buffers of this size, a stream on each core.
double measure_md5(std::uint64_t size_bytes, std::chrono::milliseconds time);

} // namespace cairn::bench
