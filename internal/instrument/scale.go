package instrument

import (
	"errors"
	"fmt"
	"math"
)

// CheckScale says what is wrong with a number that values are to be multiplied with.
func (c *Config) CheckScale(scale float64) error {
	switch {
	case math.IsNaN(scale) || math.IsInf(scale, 0) || scale == 0:
		return fmt.Errorf("scale: must be a finite number other than zero, is %v", scale)
	case scale < 0 && c.RisesOnly():
		return fmt.Errorf("scale: must be positive for a %s, is %v", c.Type, scale)
	}
	return nil
}

// Same names what contradicts itself in a list of blocks: what has one name has to be one instrument. Fractional says of each whether integers
// become sums with fractions.
func Same[Block any](blocks []Block, of func(*Block) (metric *Config, fractional bool)) error {
	var errs error
	first := map[string]int{}
	for i := range blocks {
		c, fractional := of(&blocks[i])
		j, known := first[c.Name]
		if !known {
			first[c.Name] = i
			continue
		}
		if o, other := of(&blocks[j]); o.Type != c.Type || o.Unit != c.Unit || other != fractional {
			errs = errors.Join(errs, fmt.Errorf("%d::metric: %q has another type, unit or kind of scale in %d", i, c.Name, j))
		}
	}
	return errs
}
