#pragma once
/// A value_log over a memory disk, and the account of what it must still hold.

#include "core/log/value_log.hpp"
#include "tests/support/memory_disk.hpp"
#include "tests/support/sample_log.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cairn {

/// A record that the log took.
struct held_record {
  record_body body;
  placement at;
};

/// One value file as it lies on the disk.
struct found_file {
  file_header header;
  std::uint64_t size_bytes = 0;
  std::optional<std::uint64_t> fence; ///< a successor's header names it
  scan_findings findings;             ///< up to the fence
};

/// The log writes to /space; every file's writes must follow each other without a gap or an overlap.
class log_bench {
public:
  explicit log_bench(std::uint64_t max_file_bytes = 1ULL << 30U, log_start start = {});

  /// Appends, keeps account of it, and after a failure of what it made void.
  append_outcome append(const std::vector<record_body>& records);
  result<void> sync();

  static std::string path(value_file_id id);
  [[nodiscard]] std::uint64_t size_of(value_file_id id);

  /// All files with a sound header, by id; a file without one must be empty of records.
  std::map<value_file_id, found_file> found_files();
  /// Every record up to the fences, by LSN; a number that counts twice is a failure of the test.
  std::map<log_sequence_number, held_record> found_records();

  /// Each of these records is on the disk, where it should be, with the same fields and bytes.
  void expect_held(const std::vector<held_record>& records);
  /// The disk holds the account and nothing else.
  void expect_exactly_held();

  memory_disk disk;
  value_log_options options;
  std::vector<held_record> held;    ///< appended, and synced or still to be synced
  std::vector<held_record> durable; ///< what a sync or a rollover covered
  std::unique_ptr<value_log> log;

private:
  void note_synced();
  result<created_value_file> create(value_file_id id);
  void expect_found(const std::vector<held_record>& records,
                    const std::map<log_sequence_number, held_record>& found);
  bool has_data(const held_record& record);
};

/// A sequence with these bytes; its MD5 and Adler-32 are left out, as the log does not look at them.
sequence_record sequence_of(const payload& data);

/// Bytes that differ from place to place, the same in each run.
const payload& test_bytes();

} // namespace cairn
