/// One operation of the disk fails, and only that one: the fixed run is repeated for each operation that it
/// makes.

#include "tests/power/fixed_run.hpp"
#include "tests/power/volatile_directory.hpp"

#include <iostream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn::power {
namespace {

allowed_failures failures_when(disk_operation fails) {
  allowed_failures allowed{.starts = {errc::storage_error, errc::no_space},
                           .reads = read_failures_of_disk,
                           .writes = write_failures_of_disk};
  if (fails == disk_operation::open) // that tells nothing of the file
    allowed.reads.insert(errc::busy);
  return allowed;
}

class FailOnceTest : public ::testing::TestWithParam<disk_operation> {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(is_traced() ? spdlog::level::info : spdlog::level::off);
    database_ = std::make_unique<flushed_database>();
  }
  static void TearDownTestSuite() { database_.reset(); }

  fixed_run run_anew() {
    database_->begin_anew();
    return {*database_, directory_ / "node", failures_when(GetParam())};
  }

  /// @returns how many operations of this kind the run makes up to the loss of power
  std::uint64_t count_operations() {
    auto run = run_anew();
    std::uint64_t count = 0;
    run.on_end = [&] { count = run.node().disk().count(GetParam()); };
    run.go();
    EXPECT_GE(run.mended(), 2U);
    return count;
  }

  void fail(const disk_fault& fault) {
    try {
      auto run = run_anew();
      run.node().disk().inject(fault);
      refused_starts_ += run.go();
    } catch (const std::exception& e) {
      ADD_FAILURE() << to_string(fault.operation) << " number " << fault.nth << " of the run, after "
                    << fault.written_bytes << " bytes, fails with " << to_string(fault.code) << ": "
                    << e.what();
    }
  }

  static inline std::unique_ptr<flushed_database> database_;
  volatile_directory directory_;
  int refused_starts_ = 0;
};

TEST_P(FailOnceTest, WhatWasAcknowledgedIsThere) {
  const auto operation = GetParam();
  const auto count = count_operations();
  ASSERT_GT(count, 0U);
  std::uint64_t runs = 0;
  for (std::uint64_t nth = 1; nth <= count; ++nth) {
    std::vector<disk_fault> faults{{operation, nth}};
    if (operation == disk_operation::write)
      for (const auto code : {errc::storage_error, errc::no_space})
        faults.push_back({operation, nth, code, 4096});
    for (const auto& fault : faults) {
      fail(fault);
      ++runs;
    }
  }
  std::cout << fmt::format("{}: {} operations, {} runs with one that failed, {} starts refused\n",
                           to_string(operation), count, runs, refused_starts_);
}

INSTANTIATE_TEST_SUITE_P(
  Operations, FailOnceTest,
  ::testing::Values(disk_operation::create, disk_operation::open, disk_operation::write, disk_operation::sync,
                    disk_operation::read, disk_operation::size, disk_operation::preallocate,
                    disk_operation::release_preallocation, disk_operation::make_directory,
                    disk_operation::sync_directory, disk_operation::list_directory, disk_operation::remove,
                    disk_operation::make_symlink, disk_operation::read_symlink, disk_operation::space_at),
  [](const auto& of) { return std::string{to_string(of.param)}; });

} // namespace
} // namespace cairn::power
