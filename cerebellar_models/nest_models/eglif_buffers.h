// What an E-GLIF neuron keeps of what others send it, without any of NEST.
#ifndef EGLIF_BUFFERS_H
#define EGLIF_BUFFERS_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "eglif_means.h"

namespace cerebellum
{
// Ring buffer of the spikes and currents to come, one row for each time step, with a mark for the rows in use.
template < size_t N_RECEPTORS >
class InputBuffer
{
public:
  using Row = std::array< double, N_RECEPTORS + 1 >;
  static constexpr size_t CURRENT = N_RECEPTORS;

  void
  clear( const size_t n_rows )
  {
    rows_.assign( n_rows, Row {} );
    used_.assign( n_rows / 64 + 1, 0 );
  }

  void
  add( const size_t row, const size_t channel, const double value )
  {
    rows_[ row ][ channel ] += value;
    used_[ row / 64 ] |= mark( row );
  }

  // A row, null if nothing arrives in its step.
  const Row*
  find( const size_t row ) const
  {
    return used_[ row / 64 ] & mark( row ) ? &rows_[ row ] : nullptr;
  }

  void
  empty( const size_t row )
  {
    used_[ row / 64 ] &= ~mark( row );
    rows_[ row ] = Row {};
  }

private:
  static uint64_t
  mark( const size_t row )
  {
    return uint64_t( 1 ) << ( row % 64 );
  }

  std::vector< Row > rows_;
  std::vector< uint64_t > used_;
};

// What a coupled neuron receives from its partners for the steps of an interval, and remembers between iterations.
struct GapJunctions
{
  std::vector< Coupling > steps;       // what has arrived, by step
  std::vector< double > V_m;           // mV at the end of each step in the last iteration
  std::vector< double > draws;         // random numbers of the interval, by step
  bool has_drawn = false;
  std::vector< double > coefficients;  // what is sent

  void
  resize( const size_t n_steps, const size_t order )
  {
    steps.resize( n_steps );
    V_m.assign( n_steps, std::numeric_limits< double >::quiet_NaN() ); // differs from everything
    draws.resize( n_steps );
    coefficients.resize( n_steps * ( order + 1 ) );
  }
};
}

#endif
