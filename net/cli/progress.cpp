#include "net/cli/progress.hpp"

#include "net/size_text.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace cairn::cli {

namespace {
constexpr std::chrono::milliseconds first_draw_after{1'000};
constexpr std::chrono::milliseconds between_draws{200};
constexpr int bar_columns = 30;
} // namespace

progress::progress(std::string what, std::optional<std::uint64_t> total, bool wanted, unit counts)
    : what_(std::move(what)), total_(total), unit_(counts), enabled_(wanted && ::isatty(STDERR_FILENO) == 1),
      begin_(std::chrono::steady_clock::now()), next_draw_(begin_ + first_draw_after) {}

progress::~progress() {
  if (drawn_)
    fmt::print(stderr, "\r\x1b[K"); // the result's own line takes its place
}

void progress::advance_to(std::uint64_t done, std::uint64_t total) {
  total_ = total;
  advance(done - done_);
}

std::string progress::amount(std::uint64_t count) const {
  return unit_ == unit::bytes ? human_size(count) : fmt::format("{} records", count);
}

void progress::advance(std::uint64_t count) {
  done_ += count;
  if (!enabled_)
    return;
  const auto now = std::chrono::steady_clock::now();
  if (now >= next_draw_)
    draw(now);
}

void progress::draw(std::chrono::steady_clock::time_point now) {
  next_draw_ = now + between_draws;
  drawn_ = true;
  const auto seconds = std::chrono::duration<double>(now - begin_).count();
  const auto rate = static_cast<double>(done_) / seconds;
  if (!total_ || *total_ == 0) {
    fmt::print(stderr, "\r\x1b[K{}  {}  {}/s", what_, amount(done_),
               amount(static_cast<std::uint64_t>(rate)));
  } else {
    const auto part = std::min(1.0, static_cast<double>(done_) / static_cast<double>(*total_));
    const auto filled = static_cast<int>(part * bar_columns);
    const auto left = rate > 0 ? static_cast<double>(*total_ - done_) / rate : 0.0;
    fmt::print(stderr, "\r\x1b[K{}  [{:=>{}}{:>{}}] {:3.0f} %  {} of {}  {}/s  {:.0f} s left", what_, "",
               filled, "", bar_columns - filled, part * 100, amount(done_), amount(*total_),
               amount(static_cast<std::uint64_t>(rate)), left);
  }
  std::fflush(stderr);
}

} // namespace cairn::cli
