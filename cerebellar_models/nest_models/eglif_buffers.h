// What an E-GLIF neuron keeps of what others send it, without any of NEST.
#ifndef EGLIF_BUFFERS_H
#define EGLIF_BUFFERS_H

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "eglif_means.h"

namespace cerebellum
{
// Ring buffer of the spikes and currents to come, one row for each time step, with a mark for the rows in use. It has
// room for the steps to which something was sent so far, and more is made when something is sent further ahead: one
// slow projection of a network costs the neurons it does not reach nothing. Steps are counted from the beginning of
// the simulation.
template < size_t N_RECEPTORS >
class InputBuffer
{
public:
  using Row = std::array< double, N_RECEPTORS + 1 >;
  static constexpr size_t CURRENT = N_RECEPTORS;

  void
  clear()
  {
    rows_.assign( SMALLEST, Row {} );
    used_.assign( 1, 0 );
  }

  // :param now: no step before it will be asked for again.
  void
  add( const size_t now, const size_t step, const size_t channel, const double value )
  {
    if ( step - now >= rows_.size() )
    {
      grow( now, step - now + 1 );
    }
    const size_t row = row_of( step );
    rows_[ row ][ channel ] += value;
    used_[ row / 64 ] |= mark( row );
  }

  // The row of a step, null if nothing arrives in it.
  const Row*
  find( const size_t step ) const
  {
    const size_t row = row_of( step );
    return used_[ row / 64 ] & mark( row ) ? &rows_[ row ] : nullptr;
  }

  void
  empty( const size_t step )
  {
    const size_t row = row_of( step );
    used_[ row / 64 ] &= ~mark( row );
    rows_[ row ] = Row {};
  }

private:
  static constexpr size_t SMALLEST = 16; // rows; a power of two, as all numbers of rows

  size_t
  row_of( const size_t step ) const
  {
    return step & ( rows_.size() - 1 );
  }

  static uint64_t
  mark( const size_t row )
  {
    return uint64_t( 1 ) << ( row % 64 );
  }

  void
  grow( const size_t now, const size_t n_steps )
  {
    const InputBuffer before = *this;
    rows_.assign( std::bit_ceil( n_steps ), Row {} );
    used_.assign( ( rows_.size() + 63 ) / 64, 0 );
    for ( size_t step = now; step < now + before.rows_.size(); ++step )
    {
      if ( const Row* row = before.find( step ) )
      {
        rows_[ row_of( step ) ] = *row;
        used_[ row_of( step ) / 64 ] |= mark( row_of( step ) );
      }
    }
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
