#pragma once
/// Open value files, and the reading of verified records from them.

#include "core/disk/disk.hpp"
#include "core/frame_buffer.hpp"
#include "core/log/record.hpp"

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>

namespace cairn {

/// Keeps the files used last open. Not thread-safe.
class value_file_cache {
public:
  /// @param disk, must outlive this
  value_file_cache(disk& disk, std::string spaces_root, std::size_t max_open_files = 64);

  /// Where a sequence should lie, and what its record must say.
  struct wanted {
    space_id space;
    value_file_id file;
    std::uint64_t data_offset_bytes = 0;
    const segment_info* segment = nullptr;
    const sequence_info* sequence = nullptr;
  };

  /// A part of a sequence's data; must lie inside.
  struct data_part {
    std::uint32_t offset_bytes = 0;
    std::uint32_t size_bytes = 0;
  };

  /// Reads a sequence's record: the header, and the blocks of its data that hold the part. Verifies both by
  /// their checksums, and that it is the record wanted.
  /// @returns the part
  /// @error damaged: says what does not fit; storage_error: the file cannot be read
  result<payload> read(const wanted& what, const data_part& part);

  /// Looks for the record that made a segment final, which the log has right behind its last sequence unless
  /// a new file began between the two. Reads headers alone, and verifies them.
  /// @returns where it lies; none = not there, or it cannot be read. @error damaged, storage_error: as
  /// read(), of the sequence's header
  result<std::optional<placement>> find_final(const wanted& last_sequence);

  /// Forgets a file, which may have moved.
  void drop(value_file_id file);
  /// Memory that lies ready for the next reads, at most.
  static constexpr std::size_t max_idle_bytes = std::size_t{8} * 1024 * 1024;
  /// Frees what of it was not needed since the last call.
  void rest() { buffers_->rest(); }

private:
  struct open_file {
    value_file_id id;
    std::unique_ptr<disk_file> file;
    std::uint64_t nonce = 0;
  };
  result<open_file*> open(space_id space, value_file_id id);
  payload buffer_for(std::size_t record_bytes);

  disk& disk_;
  std::string spaces_root_;
  std::size_t max_open_files_;
  std::list<open_file> files_; ///< the one used last first
  /// Of large records that were given out and are gone: memory that is found anew costs more than the read.
  std::shared_ptr<frame_buffer_pool> buffers_ = std::make_shared<frame_buffer_pool>(max_idle_bytes);
};

} // namespace cairn
